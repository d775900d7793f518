// Takes the place of the runner that postgres.js has for its tests: names each one, and goes on
// behind one that failed.

const tests = []

export const t = (name, options, body) =>
  tests.push(body ? { name, options, body } : { name, options: {}, body: options })
export const ot = t
export const nt = () => {}
t.timeout = 5

// Where everything is slow, what is within a second at rest may take ten.
const PATIENCE = 4

const within = (seconds, promise) => {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error('no answer')), seconds * 1000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const outcome = async({ options, body }) => {
  try {
    const [expected, found] = await within(
      (options.timeout || t.timeout) * PATIENCE,
      Promise.resolve().then(body).then(parts => Promise.all(parts))
    )
    return expected === found ? 'ok' : `FAIL (${ found } is not ${ expected })`
  } catch (error) {
    return `ERROR (${ error && (error.stack || error) })`
  }
}

// Some tests leave promises behind that fail once their connections have ended.
process.on('unhandledRejection', () => {})

setImmediate(async() => {
  for (const test of tests)
    console.log(`${ test.name } ... ${ await outcome(test) }`)
  process.exit()
})

use proptest::prelude::*;

use super::*;

fn of(statistics: &Statistics, text: &str) -> Option<Arc<Tally>> {
    statistics.of(text.as_bytes())
}

fn texts(statistics: &Statistics) -> Vec<String> {
    let tallies = statistics.tallies();
    let mut texts: Vec<_> = tallies.iter().map(|it| it.text().to_owned()).collect();
    texts.sort();
    texts
}

#[test]
fn what_is_shown_alike_is_counted_together() {
    let statistics = Statistics::new(10);
    let lane = Lane::here();
    for text in [
        "select a from t where b = 1",
        "select a  from t where b = 2",
    ] {
        statistics.hit(of(&statistics, text).as_ref(), lane);
    }
    let tally = of(&statistics, "select a from t where b = 'secret'").unwrap();
    statistics.bypass(Some(&tally), Reason::Clock);
    statistics.bypass(Some(&tally), Reason::Clock);
    statistics.bypass(Some(&tally), Reason::Pipeline);
    statistics.miss(Some(&tally), lane);
    statistics.write(Some(&tally), lane);
    tally.refuse(RefusedFill::TooLarge);
    tally.time(7);
    assert_eq!(tally.text(), "select a from t where b = ?");
    assert_eq!((tally.hits(), tally.misses(), tally.writes()), (2, 1, 1));
    assert_eq!((tally.calls(), tally.missed()), (7, (1, 7)));
    assert_eq!(tally.reasons(), [(Reason::Clock, 2), (Reason::Pipeline, 1)]);
    assert_eq!(tally.refused(RefusedFill::TooLarge), 1);
    assert_eq!(texts(&statistics), ["", "select a from t where b = ?"]);
}

#[test]
fn a_statement_that_had_to_leave_comes_back_when_it_is_used() {
    let statistics = Statistics::new(2);
    let lane = Lane::here();
    let early = of(&statistics, "select early").unwrap();
    for number in 0..9 {
        let tally = of(&statistics, &format!("select c{number}"));
        statistics.hit(tally.as_ref(), lane);
    }
    assert!(!texts(&statistics).contains(&"select early".to_owned()));
    for _ in 0..LOOKS_EACH {
        statistics.hit(Some(&early), lane);
    }
    assert!(texts(&statistics).contains(&"select early".to_owned()));
    let again = of(&statistics, "select early").unwrap();
    assert!(Arc::ptr_eq(&early, &again));
}

#[test]
fn where_none_are_kept_none_is_shown() {
    let statistics = Statistics::new(0);
    statistics.hit(of(&statistics, "select a").as_ref(), Lane::here());
    assert_eq!(texts(&statistics), [""]);
}

#[test]
fn threads_count_without_losing_any() {
    let statistics = Statistics::new(4);
    std::thread::scope(|scope| {
        for _ in 0..2 * STRIPES {
            scope.spawn(|| {
                let (tally, lane) = (of(&statistics, "select a"), Lane::here());
                (0..1000).for_each(|_| statistics.hit(tally.as_ref(), lane));
            });
        }
    });
    assert_eq!(
        of(&statistics, "select a").unwrap().hits(),
        2000 * STRIPES as u64
    );
}

proptest! {
    #[test]
    fn no_more_are_kept_than_was_set(
        most in 0..40_usize,
        calls in prop::collection::vec((0..200_u8, 0..3_u8), 0..600),
    ) {
        let statistics = Statistics::new(most);
        let lane = Lane::here();
        let mut total = 0;
        for (number, uses) in calls {
            let tally = of(&statistics, &format!("select c{number}"));
            for _ in 0..uses {
                statistics.hit(tally.as_ref(), lane);
                total += 1;
            }
            let tallies = statistics.tallies();
            prop_assert!(tallies.len() <= most + 1);
            prop_assert!(tallies.iter().map(|it| it.calls()).sum::<u64>() <= total);
        }
    }

    #[test]
    fn what_is_used_most_stays(seed: u64, most in 4..40_usize) {
        let statistics = Statistics::new(most);
        let lane = Lane::here();
        let hot = of(&statistics, "select hot").unwrap();
        for number in 0..500 {
            statistics.hit(Some(&hot), lane);
            // Each of the others is used at most once.
            let tally = of(&statistics, &format!("select c{}", seed.wrapping_add(number)));
            statistics.hit(tally.as_ref(), lane);
        }
        prop_assert!(texts(&statistics).contains(&"select hot".to_owned()));
        prop_assert_eq!(of(&statistics, "select hot").unwrap().hits(), 500);
    }
}

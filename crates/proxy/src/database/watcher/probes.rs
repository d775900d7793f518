//! Questions of sessions about other processes.

use super::{
    super::probe::{PROBES_MAX, Probe},
    Watcher,
};
use crate::control::{Control, ControlError};

impl Watcher {
    /// Answers a question about a process, and those that wait behind it.
    pub(super) async fn answer(
        &mut self,
        control: &Control,
        first: Probe,
    ) -> Result<(), ControlError> {
        let mut probes = vec![first];
        while probes.len() < PROBES_MAX
            && let Ok(probe) = self.probes.try_recv()
        {
            probes.push(probe);
        }
        // Unanswered, they ask again.
        match self.find_out(control, probes).await {
            Err(error) if !error.is_passing() => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn find_out(&self, control: &Control, probes: Vec<Probe>) -> Result<(), ControlError> {
        let mut processes = Vec::new();
        for probe in probes {
            // Whoever does not wait any more need not know.
            match probe {
                Probe::Living(process, answer) => processes.push((process, answer)),
                Probe::Reloaded(since, answer) => {
                    let _ = answer.send(control.has_reloaded(since).await?);
                }
            }
        }
        if processes.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = processes.iter().map(|(process, _)| *process).collect();
        let living = control.living(&numbers).await?;
        for (process, answer) in processes {
            let _ = answer.send(living.contains(&process));
        }
        Ok(())
    }
}

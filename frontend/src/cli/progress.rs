//! A spinner for work that takes longer than a second: on standard error, and only if that is a terminal.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long work may take in silence.
const PATIENCE: Duration = Duration::from_secs(1);

/// At most one spinner.
#[derive(Default)]
pub(super) struct Progress {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Announces work: it is shown when it takes long.
    pub(super) fn show(&mut self, what: &'static str) {
        use std::io::IsTerminal;
        self.hide();
        if !std::io::stderr().is_terminal() {
            return;
        }
        let (stop, stopped) = channel();
        let spin = move || {
            // The sender is dropped or sends when the work is done.
            if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                bar.tick();
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no spinner, which is no reason to stop working.
        if let Ok(thread) = std::thread::Builder::new().name("weft-progress".into()).spawn(spin) {
            self.running = Some((stop, thread));
        }
    }

    /// Takes the spinner away before anything else is printed.
    pub(super) fn hide(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A spinner that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.hide();
    }
}

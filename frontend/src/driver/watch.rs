//! Phases: what they are called, how long they take, and who looks on.

use std::fmt::Display;
use std::time::{Duration, Instant};

macro_rules! phases {
    ($($phase:ident $name:literal $doc:literal)*) => {
        /// A part of a command's work.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Phase { $(#[doc = $doc] $phase),* }

        impl Phase {
            /// Every phase, in the order in which they run.
            pub const ALL: &'static [Self] = &[$(Self::$phase),*];

            /// Name on the command line and in tables.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$phase => $name),* }
            }

            /// What happens, in a few words.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$phase => $doc),* }
            }
        }
    };
}

phases! {
    Elaborate "elaborate" "source to graph IR: parse, resolve names, check types, bounds and clocks"
    Differentiate "differentiate" "graph IR to the graph of its gradients"
    Canonicalise "canonicalise" "graph IR to canonical form"
    Rewrite "rewrite" "canonical graph IR to that of a faster algorithm"
    Schedule "schedule" "graph IR to kernel IR"
    Fuse "fuse" "kernels that are better one, made one"
    Verify "verify" "proofs about the kernel IR"
    Lower "lower" "kernel IR to loop IR"
    Emit "emit" "loop IR to machine code"
    Inputs "inputs" "inputs read or generated"
    Run "run" "the kernels run"
    Decisions "decisions" "the run's decisions checked by the evaluator"
    Evaluate "evaluate" "the float64 evaluator"
    Write "write" "results written"
}

impl Phase {
    /// The phases after which there is a program to be looked at (`--print-after`).
    pub const WITH_TEXT: [Self; 8] = [
        Self::Elaborate,
        Self::Differentiate,
        Self::Canonicalise,
        Self::Rewrite,
        Self::Schedule,
        Self::Fuse,
        Self::Lower,
        Self::Emit,
    ];
}

/// Told what the driver does, as it does it.
pub trait Observer {
    /// A phase begins.
    fn begin(&mut self, _phase: Phase) {}
    /// A phase is over.
    fn end(&mut self, _phase: Phase, _elapsed: Duration) {}
    /// Shall [`Observer::text`] be called after this phase?
    fn wants(&self, _phase: Phase) -> bool {
        false
    }
    /// The program after a phase, in its text form.
    fn text(&mut self, _phase: Phase, _text: &str) {}
    /// Something is slower than it might be, and a person should know: one line.
    fn warning(&mut self, _text: &str) {}
}

/// Looks away.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {}

/// Clock and observer of one command.
pub struct Watch<'o> {
    observer: &'o mut dyn Observer,
    times: Vec<(Phase, Duration)>,
}

impl<'o> Watch<'o> {
    /// Tells of what is slower than it might be.
    pub(crate) fn warn(&mut self, text: &str) {
        self.observer.warning(text);
    }

    /// No phase has run yet.
    pub fn new(observer: &'o mut dyn Observer) -> Self {
        Self { observer, times: Vec::new() }
    }

    /// Runs a part of the work as part of a phase. A phase may have several parts; their times are added.
    pub fn time<T>(&mut self, phase: Phase, work: impl FnOnce() -> T) -> T {
        self.observer.begin(phase);
        let start = Instant::now();
        let result = work();
        let elapsed = start.elapsed();
        match self.times.iter_mut().find(|(p, _)| *p == phase) {
            Some((_, sum)) => *sum += elapsed,
            None => self.times.push((phase, elapsed)),
        }
        self.observer.end(phase, elapsed);
        result
    }

    /// Shows the program after a phase to an observer that wants it.
    pub fn show(&mut self, phase: Phase, program: impl Display) {
        if self.observer.wants(phase) {
            self.observer.text(phase, &program.to_string());
        }
    }

    /// Does the observer want to see the program after a phase? For programs whose text takes work to make.
    #[must_use]
    pub fn wants(&self, phase: Phase) -> bool {
        self.observer.wants(phase)
    }

    /// The phases so far in the order in which they first ran, with their times.
    #[must_use]
    pub fn times(&self) -> &[(Phase, Duration)] {
        &self.times
    }
}

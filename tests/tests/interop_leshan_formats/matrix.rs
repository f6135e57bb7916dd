//! What is tried in every format.

use anyhow::{Result, ensure};
use tidegate_proto::lwm2m::path::Path;
use tidegate_tests::report;

use crate::value::Values;

/// What was tried and what went wrong, all of it, not just the first.
pub(crate) struct Matrix {
    operation: &'static str,
    right: usize,
    wrong: Vec<String>,
}

impl Matrix {
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, right: 0, wrong: Vec::new() }
    }

    pub(crate) fn check(&mut self, path: Path, format: u16, got: Result<Values>, expected: &Values) {
        match got {
            Ok(got) if got == *expected => self.right += 1,
            Ok(got) => {
                let not_expected: Vec<_> = got.iter().filter(|value| !expected.contains(value)).collect();
                let missing: Vec<_> = expected.iter().filter(|value| !got.contains(value)).collect();
                self.fail(path, format, &format!("got {not_expected:?} instead of {missing:?}"));
            }
            Err(error) => self.fail(path, format, &error),
        }
    }

    pub(crate) fn fail(&mut self, path: Path, format: u16, why: &dyn std::fmt::Display) {
        self.wrong.push(format!("{path} in {format}: {why:#}"));
    }

    pub(crate) fn finish(self) -> Result<()> {
        report(&format!("{}: {} right", self.operation, self.right));
        ensure!(self.wrong.is_empty(), "{}:\n{}", self.operation, self.wrong.join("\n"));
        Ok(())
    }
}

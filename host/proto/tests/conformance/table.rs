//! Every case that a server is judged by, and the tests that show it; the source of `docs/conformance.md`.

mod client;
mod coap;
mod ets;
mod field;
mod must;
mod rfc;

/// A part of the table.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    pub(crate) rows: &'static [Row],
}

pub(crate) struct Row {
    /// As its source names it.
    pub(crate) case: &'static str,
    /// What it asks for; may be empty if `case` says it.
    pub(crate) title: &'static str,
    /// M must, S should, L later; empty where the source gives none.
    pub(crate) priority: &'static str,
    pub(crate) state: State,
    /// `file::function`; where files are looked for is said in `document`.
    pub(crate) tests: &'static [&'static str],
}

pub(crate) enum State {
    /// The tests show it.
    Shown,
    /// The tests show it; what is to be said beside.
    Remarked(&'static str),
    /// There is nothing to do, for this reason.
    Idle(&'static str),
    /// It belongs to an issue that is still to come.
    Later(u8, &'static str),
    /// Tidegate does not have it, for this reason.
    NotOffered(&'static str),
}

pub(crate) const SECTIONS: &[Section] =
    &[ets::SECTION, must::SECTION, coap::SECTION, field::SECTION, client::SECTION, rfc::SECTION];

const fn shown(
    case: &'static str,
    title: &'static str,
    priority: &'static str,
    tests: &'static [&'static str],
) -> Row {
    Row { case, title, priority, state: State::Shown, tests }
}

/// Gives a row another state.
const fn but(row: &Row, state: State) -> Row {
    Row { case: row.case, title: row.title, priority: row.priority, state, tests: row.tests }
}

const fn later(
    case: &'static str,
    title: &'static str,
    priority: &'static str,
    issue: u8,
    what: &'static str,
) -> Row {
    Row { case, title, priority, state: State::Later(issue, what), tests: &[] }
}

const fn not_offered(
    case: &'static str,
    title: &'static str,
    priority: &'static str,
    reason: &'static str,
) -> Row {
    Row { case, title, priority, state: State::NotOffered(reason), tests: &[] }
}

const fn idle(case: &'static str, title: &'static str, reason: &'static str) -> Row {
    Row { case, title, priority: "", state: State::Idle(reason), tests: &[] }
}

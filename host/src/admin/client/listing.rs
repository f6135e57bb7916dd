//! Which clients a list wants, in which order, and which page of them.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde::Deserialize;
use utoipa::IntoParams;

use super::super::problem::Problem;
use super::super::time;
use crate::net::{Directory, Known};

/// What was asked for, as it was typed.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Wanted {
    /// Part of the endpoint name, in upper or lower case, or of the address.
    search: Option<String>,
    /// From 1.
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    /// Clients on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `endpoint`, `address`, `lifetime_s`, `registered_at` or `updated_at`; downwards with `-` before it.
    sort: Option<String>,
    /// `udp` or `dtls`.
    transport: Option<String>,
    queue_mode: Option<bool>,
    /// Clients that have this object.
    object: Option<u16>,
    /// The version that they registered with: `1.0`, `1.1` or `1.2`.
    lwm2m_version: Option<String>,
    /// Seconds.
    lifetime_gte: Option<u32>,
    /// Seconds.
    lifetime_lte: Option<u32>,
    /// RFC 3339.
    registered_gte: Option<String>,
    /// RFC 3339.
    registered_lte: Option<String>,
}

/// The same, understood.
#[derive(Clone, Debug)]
pub(in super::super) struct Listing {
    pub(in super::super) filter: Filter,
    pub(in super::super) sort: Sort,
    pub(in super::super) is_downwards: bool,
    /// From 1.
    pub(in super::super) page: usize,
    pub(in super::super) limit: usize,
}

/// What a client must be like. None is anything.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Filter {
    /// In lower case.
    pub(in super::super) search: Option<String>,
    pub(in super::super) endpoint: Option<String>,
    pub(in super::super) address: Option<std::net::IpAddr>,
    pub(in super::super) is_secure: Option<bool>,
    pub(in super::super) queue_mode: Option<bool>,
    pub(in super::super) object: Option<u16>,
    pub(in super::super) version: Option<String>,
    pub(in super::super) lifetime: (Option<u32>, Option<u32>),
    /// Unix time.
    pub(in super::super) registered: (Option<i64>, Option<i64>),
    /// Registration parameters: all of the value, and part of it in lower case. The endpoint name stands for one that is not there.
    pub(in super::super) parameters: Vec<(&'static str, Option<String>, Option<String>)>,
    /// Nobody fits.
    pub(in super::super) is_nobody: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Sort {
    Endpoint,
    Address,
    Lifetime,
    Registered,
    Updated,
}

impl TryFrom<Wanted> for Listing {
    type Error = Problem;

    fn try_from(wanted: Wanted) -> Result<Self, Problem> {
        let typed = wanted.sort.as_deref().unwrap_or("endpoint");
        let (name, is_downwards) = typed.strip_prefix('-').map_or((typed, false), |name| (name, true));
        let sort = match name {
            "endpoint" => Sort::Endpoint,
            "address" => Sort::Address,
            "lifetime_s" => Sort::Lifetime,
            "registered_at" => Sort::Registered,
            "updated_at" => Sort::Updated,
            _ => {
                let known = "endpoint, address, lifetime_s, registered_at and updated_at, with or without `-` before it";
                return Err(Problem::bad("sort", format!("`{typed}` is no order; there are {known}")));
            }
        };
        let is_secure = match wanted.transport.as_deref() {
            None => None,
            Some("udp") => Some(false),
            Some("dtls") => Some(true),
            Some(other) => {
                return Err(Problem::bad("transport", format!("`{other}` is neither udp nor dtls")));
            }
        };
        if let Some(version) =
            wanted.lwm2m_version.as_deref().filter(|of| !["1.0", "1.1", "1.2"].contains(of))
        {
            return Err(Problem::bad("lwm2m_version", format!("`{version}` is none of 1.0, 1.1 and 1.2")));
        }
        let date = |field: &str, typed: Option<&str>| match typed.map(time::parse) {
            Some(None) => Err(Problem::bad(field, "is no time such as 2026-03-01T12:00:00Z")),
            other => Ok(other.flatten()),
        };
        let filter = Filter {
            search: wanted.search.filter(|of| !of.is_empty()).map(|of| of.to_lowercase()),
            is_secure,
            queue_mode: wanted.queue_mode,
            object: wanted.object,
            version: wanted.lwm2m_version,
            lifetime: (wanted.lifetime_gte, wanted.lifetime_lte),
            registered: (
                date("registered_gte", wanted.registered_gte.as_deref())?,
                date("registered_lte", wanted.registered_lte.as_deref())?,
            ),
            ..Filter::default()
        };
        let (page, limit) = (wanted.page.unwrap_or(1), wanted.limit.unwrap_or(50));
        Self::new(filter, page, limit).map(|listing| Self { sort, is_downwards, ..listing })
    }
}

impl Listing {
    /// A page of the clients that fit, by their endpoint names.
    pub(in super::super) fn new(filter: Filter, page: u32, limit: u32) -> Result<Self, Problem> {
        let number = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
        if page == 0 {
            return Err(Problem::bad("page", "the first page is 1"));
        }
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(Problem::bad("limit", format!("must be from 1 to {LARGEST_PAGE}")));
        }
        let (page, limit) = (number(page), number(limit));
        Ok(Self { filter, sort: Sort::Endpoint, is_downwards: false, page, limit })
    }

    fn compare(&self, one: &Known, other: &Known) -> Ordering {
        let by_name = || one.registration.endpoint.cmp(&other.registration.endpoint);
        let order = match self.sort {
            Sort::Endpoint => by_name(),
            Sort::Address => one.registration.peer.address.cmp(&other.registration.peer.address),
            Sort::Lifetime => one.registration.lifetime.cmp(&other.registration.lifetime),
            Sort::Registered => one.registered.cmp(&other.registered),
            Sort::Updated => one.updated.cmp(&other.updated),
        };
        let order = order.then_with(by_name);
        if self.is_downwards { order.reverse() } else { order }
    }
}

impl Filter {
    fn fits(&self, known: &Known, text: &mut String) -> bool {
        let of = &*known.registration;
        let within = |value: i64, (least, most): (Option<i64>, Option<i64>)| {
            least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
        };
        let lifetime = (self.lifetime.0.map(i64::from), self.lifetime.1.map(i64::from));
        let has_parameter = |(name, whole, part): &(&'static str, Option<String>, Option<String>)| {
            let value = of.parameter(name).unwrap_or(&of.endpoint);
            whole.as_ref().is_none_or(|whole| whole == value)
                && part.as_ref().is_none_or(|part| contains(value, part))
        };
        !self.is_nobody
            && self.parameters.iter().all(has_parameter)
            && self.is_secure.is_none_or(|is_secure| of.peer.is_secure() == is_secure)
            && self.queue_mode.is_none_or(|queue_mode| of.queue_mode == queue_mode)
            && self.endpoint.as_ref().is_none_or(|endpoint| **endpoint == *of.endpoint)
            && self.address.is_none_or(|address| of.peer.address.ip().to_canonical() == address)
            && self.version.as_ref().is_none_or(|version| *version == super::version(of.version))
            && within(of.lifetime.into(), lifetime)
            && within(known.registered.into(), self.registered)
            && self
                .object
                .is_none_or(|object| of.objects.iter().any(|link| link.path.object() == Some(object)))
            && self.search.as_ref().is_none_or(|search| {
                contains(&of.endpoint, search)
                    || (is_of_address(search) && {
                        text.clear();
                        write!(text, "{}", of.peer.address).is_ok() && text.contains(search.as_str())
                    })
            })
    }
}

/// The clients of a page, and how many fit.
pub(in super::super) fn select(directory: &Directory, listing: &Listing) -> (Vec<Known>, usize) {
    let text = std::cell::RefCell::new(String::new());
    let mut all = directory.select(|known| listing.filter.fits(known, &mut text.borrow_mut()));
    let count = all.len();
    let first = (listing.page - 1).saturating_mul(listing.limit);
    if first >= count {
        return (Vec::new(), count);
    }
    // Only those of the page are put in order.
    let end = first.saturating_add(listing.limit).min(count);
    if end < count {
        all.select_nth_unstable_by(end, |one, other| listing.compare(one, other));
        all.truncate(end);
    }
    if first > 0 {
        all.select_nth_unstable_by(first, |one, other| listing.compare(one, other));
        all.drain(..first);
    }
    all.sort_unstable_by(|one, other| listing.compare(one, other));
    (all, count)
}

/// Whether a text contains another one, which is in lower case.
fn contains(text: &str, search: &str) -> bool {
    let (text, search) = (text.as_bytes(), search.as_bytes());
    if search.is_ascii() {
        return text.windows(search.len()).any(|window| window.eq_ignore_ascii_case(search));
    }
    String::from_utf8_lossy(text)
        .to_lowercase()
        .as_bytes()
        .windows(search.len())
        .any(|window| window == search)
}

/// Whether it may be part of an address: to write each one down takes longer than all else.
fn is_of_address(search: &str) -> bool {
    search.contains(['.', ':']) && search.bytes().all(|of| of.is_ascii_hexdigit() || b".:[]".contains(&of))
}

const LARGEST_PAGE: u32 = 1_000;

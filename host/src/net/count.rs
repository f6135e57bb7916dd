//! What a shard counts, and how others get to see it.
//!
//! A shard counts in plain numbers of its own. Now and then, at the end of a turn, it copies them into its [`Tally`], which `admin`
//! adds up with those of the other shards: nobody waits for anybody. [`FAMILIES`] says under which name and reason each is told;
//! whatever is dropped has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_dtls::endpoint;
use tidegate_proto::lwm2m::server;

/// All that one shard has counted since the start, and has now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// By the LwM2M server, and the CoAP endpoint below it.
    pub server: server::Counters,
    /// By DTLS.
    pub dtls: endpoint::Counters,
    /// By the shard itself.
    pub own: Own,
    /// DTLS associations now.
    pub associations: u64,
    /// DTLS handshakes that are going on now.
    pub handshakes: u64,
}

/// What the shard itself counts: what neither CoAP nor DTLS gets to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Datagrams beyond what one source may send.
    pub rate_source: u64,
    /// Datagrams beyond what all may send.
    pub rate_overall: u64,
    /// Errors that a socket told when it was read, such as that an earlier datagram found nobody.
    pub receive_errors: u64,
    /// Datagrams that a socket had no room for.
    pub unsent_full: u64,
    /// Datagrams that a socket could not send for any other reason.
    pub unsent_failed: u64,
    /// Datagrams for an association that is gone, or must not send now.
    pub unsent_association: u64,
    /// Datagrams that came while the shard restored what was before the start, and were too many.
    pub starting: u64,
    /// Requests that came meanwhile, and were too many.
    pub starting_requests: u64,
    /// Datagrams of other shards that found no room here.
    pub busy_datagrams: u64,
    /// Requests that found no room here.
    pub busy_requests: u64,
    /// Other commands that found no room here.
    pub busy_commands: u64,
    /// Datagrams that had to wait for a registration to come from another shard, and found no room.
    pub unparked: u64,
    /// Events for translators that are gone.
    pub unclaimed: u64,
    /// DTLS handshakes that failed.
    pub failed_handshakes: u64,
    /// DTLS associations that ended to make room.
    pub evicted_associations: u64,
}

/// The counts of one shard as others see them: a little late.
#[derive(Debug)]
pub struct Tally(Box<[AtomicU64]>);

impl Tally {
    /// Nothing was counted.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(members().map(|_| AtomicU64::new(0)).collect()))
    }

    /// Let others see these. For one thread only.
    pub(crate) fn publish(&self, counts: &Counts) {
        for (seen, (_, _, read)) in self.0.iter().zip(members()) {
            seen.store(read(counts), Ordering::Relaxed);
        }
    }
}

/// The counts of all shards, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals(Vec<u64>);

impl Totals {
    /// At this moment.
    pub fn of(tallies: &[Arc<Tally>]) -> Self {
        let mut totals = vec![0; members().count()];
        for tally in tallies {
            for (total, seen) in totals.iter_mut().zip(&tally.0) {
                *total += seen.load(Ordering::Relaxed);
            }
        }
        Self(totals)
    }

    /// Each family with its reasons and their counts. A family without reasons has one, which is empty.
    pub fn families(&self) -> impl Iterator<Item = (&'static Family, Vec<(&'static str, u64)>)> {
        let mut rest = self.0.as_slice();
        FAMILIES.iter().map(move |family| {
            let (own, others) = rest.split_at(family.members.len());
            rest = others;
            (family, family.members.iter().map(|(reason, _)| *reason).zip(own.iter().copied()).collect())
        })
    }

    /// The counts of a family, by reason.
    pub fn family(&self, name: &str) -> Vec<(&'static str, u64)> {
        self.families().find(|(family, _)| family.name == name).map(|(_, counts)| counts).unwrap_or_default()
    }
}

/// Counts that are told under one name.
#[derive(Debug)]
pub struct Family {
    /// The name, without the prefix of all of them.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// What it counts.
    pub help: &'static str,
    members: &'static [(&'static str, Read)],
}

type Read = fn(&Counts) -> u64;

fn members() -> impl Iterator<Item = (&'static Family, &'static str, Read)> {
    FAMILIES
        .iter()
        .flat_map(|family| family.members.iter().map(move |(reason, read)| (family, *reason, *read)))
}

/// All of them.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "coap_received_total",
        kind: "counter",
        help: "CoAP messages taken in.",
        members: &[("", |of| of.server.coap.received)],
    },
    Family {
        name: "coap_transmitted_total",
        kind: "counter",
        help: "CoAP messages handed out.",
        members: &[("", |of| of.server.coap.transmitted)],
    },
    Family {
        name: "coap_retransmitted_total",
        kind: "counter",
        help: "Requests sent again.",
        members: &[("", |of| of.server.coap.retransmitted)],
    },
    Family {
        name: "coap_duplicates_total",
        kind: "counter",
        help: "Messages that came again.",
        members: &[("", |of| of.server.coap.duplicates)],
    },
    Family {
        name: "coap_replayed_total",
        kind: "counter",
        help: "Of those, the ones answered again from memory.",
        members: &[("", |of| of.server.coap.replayed)],
    },
    Family {
        name: "coap_pings_total",
        kind: "counter",
        help: "CoAP pings.",
        members: &[("", |of| of.server.coap.pings)],
    },
    Family {
        name: "coap_dropped_total",
        kind: "counter",
        help: "Messages, or what was remembered of them, that were dropped, by reason.",
        members: &[
            ("malformed-short", |of| of.server.coap.malformed_short),
            ("malformed-version", |of| of.server.coap.malformed_version),
            ("malformed-token", |of| of.server.coap.malformed_token),
            ("malformed-option", |of| of.server.coap.malformed_option),
            ("malformed-payload", |of| of.server.coap.malformed_payload),
            ("malformed-empty", |of| of.server.coap.malformed_empty),
            ("malformed-code", |of| of.server.coap.malformed_code),
            ("unmatched-acknowledgement", |of| of.server.coap.unmatched_acknowledgements),
            ("unmatched-reset", |of| of.server.coap.unmatched_resets),
            ("wrong-token", |of| of.server.coap.wrong_tokens),
            ("stale-notification", |of| of.server.coap.stale_notifications),
            ("incomplete-notification", |of| of.server.coap.incomplete_notifications),
            ("no-room-for-body", |of| of.server.coap.downloads_refused),
            ("unsettled", |of| of.server.coap.unsettled),
            ("remembered-evicted", |of| of.server.coap.remembered_evicted),
            ("transfer-evicted", |of| of.server.coap.transfers_evicted),
            ("transfer-expired", |of| of.server.coap.transfers_expired),
            ("rate-source", |of| of.own.rate_source),
            ("rate-overall", |of| of.own.rate_overall),
            ("starting", |of| of.own.starting),
            ("shard-busy", |of| of.own.busy_datagrams),
            ("no-room-for-handover", |of| of.own.unparked),
        ],
    },
    Family {
        name: "coap_rejected_total",
        kind: "counter",
        help: "Messages rejected with an error or a reset, by reason.",
        members: &[
            ("unknown-critical-option", |of| of.server.coap.unknown_critical),
            ("unknown-method", |of| of.server.coap.unknown_methods),
            ("unmatched-response", |of| of.server.coap.unmatched_responses),
        ],
    },
    Family {
        name: "lwm2m_rejected_total",
        kind: "counter",
        help: "Requests of clients that were answered with an error, by reason.",
        members: &[
            ("invalid-registration", |of| of.server.rejected_registrations),
            ("too-many-registrations", |of| of.server.excess_registrations),
            ("registrations-too-large", |of| of.server.excess_registration_bytes),
            ("unknown-location", |of| of.server.unknown_locations),
            ("foreign-location", |of| of.server.foreign_locations),
            ("wrong-identity", |of| of.server.wrong_identities),
            ("insecure-registration", |of| of.server.insecure_registrations),
            ("unknown-sender", |of| of.server.unknown_senders),
            ("unreadable-send", |of| of.server.rejected_sends),
            ("unexpected-request", |of| of.server.unexpected_requests),
        ],
    },
    Family {
        name: "lwm2m_dropped_total",
        kind: "counter",
        help: "What clients said and got no answer to, and requests for clients that came to nothing, by reason.",
        members: &[
            ("overlapping-registration", |of| of.server.overlapping_registrations),
            ("stray-notification", |of| of.server.stray_notifications),
            ("outbox-full", |of| of.server.refused),
            ("queue-full", |of| of.server.queue_full),
            ("too-many-observations", |of| of.server.excess_observations),
            ("shard-busy", |of| of.own.busy_requests),
            ("starting", |of| of.own.starting_requests),
            ("translator-gone", |of| of.own.unclaimed),
        ],
    },
    Family {
        name: "lwm2m_moved_total",
        kind: "counter",
        help: "Clients that were found at another address or association.",
        members: &[("", |of| of.server.moved)],
    },
    Family {
        name: "lwm2m_fallbacks_total",
        kind: "counter",
        help: "Requests sent once more in another format.",
        members: &[("", |of| of.server.fallbacks)],
    },
    Family {
        name: "shard_commands_dropped_total",
        kind: "counter",
        help: "Other commands between shards that found no room.",
        members: &[("", |of| of.own.busy_commands)],
    },
    Family {
        name: "udp_receive_errors_total",
        kind: "counter",
        help: "Errors told by a socket when it was read.",
        members: &[("", |of| of.own.receive_errors)],
    },
    Family {
        name: "udp_send_dropped_total",
        kind: "counter",
        help: "Datagrams that were not sent, by reason.",
        members: &[
            ("socket-full", |of| of.own.unsent_full),
            ("socket-error", |of| of.own.unsent_failed),
            ("no-association", |of| of.own.unsent_association),
        ],
    },
    Family {
        name: "dtls_associations",
        kind: "gauge",
        help: "DTLS associations.",
        members: &[("", |of| of.associations)],
    },
    Family {
        name: "dtls_handshakes_pending",
        kind: "gauge",
        help: "DTLS handshakes that are going on.",
        members: &[("", |of| of.handshakes)],
    },
    Family {
        name: "dtls_cookies_total",
        kind: "counter",
        help: "ClientHellos answered with a cookie.",
        members: &[("", |of| of.dtls.cookies)],
    },
    Family {
        name: "dtls_handshakes_total",
        kind: "counter",
        help: "DTLS handshakes begun.",
        members: &[("", |of| of.dtls.handshakes)],
    },
    Family {
        name: "dtls_handshakes_failed_total",
        kind: "counter",
        help: "DTLS handshakes that failed.",
        members: &[("", |of| of.own.failed_handshakes)],
    },
    Family {
        name: "dtls_associations_evicted_total",
        kind: "counter",
        help: "DTLS associations that ended to make room.",
        members: &[("", |of| of.own.evicted_associations)],
    },
    Family {
        name: "dtls_moved_total",
        kind: "counter",
        help: "DTLS associations whose client was found at another address.",
        members: &[("", |of| of.dtls.moved)],
    },
    Family {
        name: "dtls_dropped_total",
        kind: "counter",
        help: "Datagrams and records of DTLS that were dropped, by reason.",
        members: &[
            ("excess-handshake", |of| of.dtls.excess_handshakes),
            ("stray", |of| of.dtls.strays),
            ("forged", |of| of.dtls.forged),
            ("replayed", |of| of.dtls.replayed),
            ("refused", |of| of.dtls.refused),
            ("held-back", |of| of.dtls.held_back),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use super::*;

    fn fields(of: &impl Debug) -> usize {
        format!("{of:?}").matches(": 0").count()
    }

    /// A counter that is added anywhere must be told.
    #[test]
    fn every_counter_of_every_layer_is_told_under_a_name_of_its_own() {
        let names: BTreeSet<_> = members().map(|(family, reason, _)| (family.name, reason)).collect();
        assert_eq!(names.len(), members().count());
        assert_eq!(members().count(), fields(&Counts::default()));
    }

    #[test]
    fn counts_of_shards_are_added_up() {
        let (one, other) = (Tally::new(), Tally::new());
        let mut counts = Counts::default();
        counts.own.starting = 3;
        counts.server.coap.malformed_short = 2;
        one.publish(&counts);
        counts.own.starting = 4;
        other.publish(&counts);
        counts.own.starting = 5;
        other.publish(&counts);
        let dropped = Totals::of(&[one, other]).family("coap_dropped_total");
        let told: Vec<_> = dropped.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [("malformed-short", 4), ("starting", 8)]);
        assert!(Totals::of(&[]).family("no").is_empty());
    }
}

//! Translators that remember something about each client, such as a sequence number (contract 1.1).
//!
//! The gateway keeps it: it hands a client's state in with each event, and takes the new one with the actions. So the
//! translator stays a pure function, and its instances can still be dropped at any time.
//!
//! ```
//! use tidegate_sdk::{Diagnostic, Event, Fault, Outcome, StatefulTranslator, Subscriptions, publish};
//!
//! /// Numbers what each client notifies.
//! struct Numbered;
//!
//! impl StatefulTranslator for Numbered {
//!     fn configure(_settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
//!         Ok((Self, Subscriptions::default()))
//!     }
//!
//!     fn uplink(&self, event: Event, state: &[u8]) -> Result<Outcome, Fault> {
//!         let Event::Notified(_) = event else { return Ok(Outcome::default()) };
//!         let number = state.first().map_or(0, |last| last.wrapping_add(1));
//!         let actions = vec![publish("numbers", number.to_string())];
//!         Ok(Outcome { actions, state: Some(vec![number]) })
//!     }
//! }
//!
//! // At the end of the crate, once:
//! #[cfg(target_arch = "wasm32")]
//! tidegate_sdk::stateful_translator!(Numbered);
//! ```

use crate::{Action, Diagnostic, Event, Fault, Message, Subscriptions};

/// What is generated from the contract, beside [`crate::bindings`]: one more export.
#[doc(hidden)]
#[allow(missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package tidegate:sdk; world stateful { export tidegate:translator/stateful@1.1.0; }",
        world: "tidegate:sdk/stateful",
        with: {
            "tidegate:translator/types@1.1.0": crate::bindings::tidegate::translator::types,
            "tidegate:translator/events@1.1.0": crate::bindings::tidegate::translator::events,
        },
        pub_export_macro: true,
        export_macro_name: "export_stateful",
        default_bindings_module: "tidegate_sdk::stateful::bindings",
    });
}

pub use bindings::exports::tidegate::translator::stateful::Outcome;

/// A translator with a state for each client.
///
/// A state is at most 64 KiB, and better a few dozen bytes: it is copied in and out with each event. It begins empty, and is
/// empty again when the gateway has started anew or the client's registration has ended. A later version of the translator
/// is given what an earlier one has left: begin it with a byte that says how it is written.
pub trait StatefulTranslator: Sized {
    /// As [`crate::Translator::configure`].
    ///
    /// # Errors
    /// What is wrong with which key; the gateway shows it to the operator and does not use the translator.
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>>;

    /// Turn what happened at a client into MQTT messages and requests, and say what is to be remembered about it.
    ///
    /// # Errors
    /// Why nothing comes of it; it costs this event, and the state stays as it was.
    fn uplink(&self, event: Event, state: &[u8]) -> Result<Outcome, Fault>;

    /// As [`crate::Translator::downlink`]: a message is given no state, for whose it would be is not known. A request to a client
    /// comes back as an event of that client, with its state.
    ///
    /// # Errors
    /// Why nothing comes of it; it costs this message.
    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        Err(Fault::Unsupported(format!("no messages are expected, also not on {}", message.topic)))
    }
}

#[allow(clippy::derivable_impls)] // the type is generated
impl Default for Outcome {
    /// Nothing is to be done, and the state stays as it is.
    fn default() -> Self {
        Self { actions: vec![], state: None }
    }
}

impl From<Vec<Action>> for Outcome {
    /// The state stays as it is.
    fn from(actions: Vec<Action>) -> Self {
        Self { actions, state: None }
    }
}

/// What is said where no state can be had.
#[doc(hidden)]
pub fn without_state() -> Fault {
    Fault::Unsupported("this gateway keeps no state for translators: it must speak contract 1.1".into())
}

/// Makes a component of the crate: `tidegate_sdk::stateful_translator!(MyTranslator);`, once.
#[macro_export]
macro_rules! stateful_translator {
    ($translator:ty) => {
        const _: () = {
            struct Component;
            thread_local! {
                static CONFIGURED: ::core::cell::OnceCell<$translator> = const { ::core::cell::OnceCell::new() };
            }
            fn with<R>(
                call: impl FnOnce(&$translator) -> ::core::result::Result<R, $crate::Fault>,
            ) -> ::core::result::Result<R, $crate::Fault> {
                CONFIGURED.with(|cell| match cell.get() {
                    Some(translator) => call(translator),
                    None => Err($crate::Fault::Internal("called before it was configured".into())),
                })
            }
            impl $crate::bindings::exports::tidegate::translator::setup::Guest for Component {
                fn configure(
                    settings: ::std::string::String,
                ) -> ::core::result::Result<$crate::Subscriptions, ::std::vec::Vec<$crate::Diagnostic>> {
                    $crate::log_panics();
                    let (translator, subscriptions) =
                        <$translator as $crate::StatefulTranslator>::configure(&settings)?;
                    CONFIGURED.with(|cell| {
                        let _ = cell.set(translator);
                    });
                    Ok(subscriptions)
                }
            }
            impl $crate::stateful::bindings::exports::tidegate::translator::stateful::Guest for Component {
                fn translate(
                    event: $crate::Event,
                    state: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<$crate::Outcome, $crate::Fault> {
                    with(|translator| $crate::StatefulTranslator::uplink(translator, event, &state))
                }
            }
            impl $crate::bindings::exports::tidegate::translator::uplink::Guest for Component {
                fn translate(
                    _event: $crate::Event,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::Action>, $crate::Fault> {
                    Err($crate::stateful::without_state())
                }
            }
            impl $crate::bindings::exports::tidegate::translator::downlink::Guest for Component {
                fn translate(
                    message: $crate::Message,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::Action>, $crate::Fault> {
                    with(|translator| $crate::StatefulTranslator::downlink(translator, message))
                }
            }
            $crate::bindings::export_component!(Component with_types_in $crate::bindings);
            $crate::stateful::bindings::export_stateful!(Component with_types_in $crate::stateful::bindings);
        };
    };
}

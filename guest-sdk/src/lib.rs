//! Write Tidegate translators in Rust.
//!
//! A translator is a type that implements [`Translator`]; [`translator!`] makes a component of the crate that has it.
//! Build it for `wasm32-unknown-unknown` with the linker `wasm-component-ld`. The same crate compiles natively, so that
//! `cargo test` tests it without any wasm tool.
//!
//! ```
//! use tidegate_sdk::{Action, Event, Fault, Message, Subscriptions, Diagnostic, Translator, publish};
//!
//! /// Publishes what each client notifies, as it came.
//! struct Raw;
//!
//! impl Translator for Raw {
//!     fn configure(_settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
//!         Ok((Self, Subscriptions::default()))
//!     }
//!
//!     fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
//!         match event {
//!             Event::Notified(notified) => {
//!                 let topic = format!("raw/{}", tidegate_sdk::topic_level(&notified.client.endpoint));
//!                 Ok(vec![publish(topic, notified.content.payload)])
//!             }
//!             _ => Ok(vec![]),
//!         }
//!     }
//! }
//! ```
#![deny(missing_docs)]

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

#[cfg(feature = "case")]
pub mod case;
pub mod json;
pub mod request;
pub mod sample;
pub mod settings;
pub mod stateful;
pub mod time;

/// What is generated from the contract.
#[doc(hidden)]
#[cfg(not(feature = "case"))]
#[allow(missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "translator",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "tidegate_sdk::bindings",
    });
}

/// The same, and its types can be read from JSON and written to it.
#[doc(hidden)]
#[cfg(feature = "case")]
#[allow(missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "translator",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "tidegate_sdk::bindings",
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub use bindings::exports::tidegate::translator::setup::{Diagnostic, Subscription, Subscriptions};
pub use bindings::tidegate::translator::events::{
    Answered, Delivery, End, Ended, Event, Failed, Failure, Notified, Progressed, Registered, Sent, Stage,
    Updated,
};
pub use bindings::tidegate::translator::log::Level;
pub use bindings::tidegate::translator::types::*;
pub use stateful::{Outcome, StatefulTranslator};

/// A translator. It may remember nothing from one call to the next: the gateway drops and makes instances as it likes.
pub trait Translator: Sized {
    /// Take the settings, a JSON object, and say which MQTT topics are wanted. Called once, before anything else.
    ///
    /// # Errors
    /// What is wrong with which key; the gateway shows it to the operator and does not use the translator.
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>>;

    /// Turn what happened at a client into MQTT messages and requests.
    ///
    /// # Errors
    /// Why nothing comes of it; it costs this event.
    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault>;

    /// Turn an MQTT message into requests and replies. Without an own one, no message is expected.
    ///
    /// # Errors
    /// Why nothing comes of it; it costs this message.
    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        Err(Fault::Unsupported(format!("no messages are expected, also not on {}", message.topic)))
    }
}

/// Makes a component of the crate, once, at the end of it. A panic within the translator is written to the gateway's log with
/// its file and line.
///
/// ```
/// # use tidegate_sdk::*;
/// struct Silent;
///
/// impl Translator for Silent {
///     fn configure(_settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
///         Ok((Self, Subscriptions::default()))
///     }
///
///     fn uplink(&self, _event: Event) -> Result<Vec<Action>, Fault> {
///         Ok(vec![])
///     }
/// }
///
/// #[cfg(target_arch = "wasm32")]
/// tidegate_sdk::translator!(Silent);
/// ```
#[macro_export]
macro_rules! translator {
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
                    let (translator, subscriptions) = <$translator as $crate::Translator>::configure(&settings)?;
                    CONFIGURED.with(|cell| {
                        let _ = cell.set(translator);
                    });
                    Ok(subscriptions)
                }
            }
            impl $crate::bindings::exports::tidegate::translator::uplink::Guest for Component {
                fn translate(
                    event: $crate::Event,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::Action>, $crate::Fault> {
                    with(|translator| $crate::Translator::uplink(translator, event))
                }
            }
            impl $crate::bindings::exports::tidegate::translator::downlink::Guest for Component {
                fn translate(
                    message: $crate::Message,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::Action>, $crate::Fault> {
                    with(|translator| $crate::Translator::downlink(translator, message))
                }
            }
            $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}

/// Write a line to the gateway's log; natively, to standard error.
///
/// ```
/// use tidegate_sdk::{Level, log};
/// log(Level::Warn, "urn:imei:001 reports a battery of 300 %");
/// ```
pub fn log(level: Level, text: &str) {
    #[cfg(target_arch = "wasm32")]
    bindings::tidegate::translator::log::write(level, text);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?} {text}");
}

/// Let a panic say where it happened; without this the gateway sees only that the component stopped.
#[doc(hidden)]
pub fn log_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
}

/// An action that publishes with QoS 0 and without properties.
///
/// ```
/// use tidegate_sdk::{Action, Qos, publish};
/// let Action::Publish(message) = publish("up/a", "21.5") else { panic!() };
/// assert_eq!((message.topic.as_str(), &message.payload[..], message.qos), ("up/a", &b"21.5"[..], Qos::AtMostOnce));
/// ```
pub fn publish(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Action {
    Action::Publish(Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::default(),
    })
}

/// An action that performs an operation on the client of an endpoint name. The context comes back with each answer.
///
/// ```
/// use tidegate_sdk::{Action, Path, Recipient, perform, request};
/// let Action::Perform(asked) = perform("urn:imei:001", request::read(Path::new(&[3, 0])), "asked") else { panic!() };
/// assert!(matches!(&asked.recipients[..], [Recipient::Endpoint(name)] if name == "urn:imei:001"));
/// assert_eq!(asked.context, "asked");
/// ```
pub fn perform(endpoint: impl Into<String>, operation: Operation, context: impl Into<String>) -> Action {
    Action::Perform(Request {
        recipients: vec![Recipient::Endpoint(endpoint.into())],
        operation,
        context: context.into(),
        expiry: None,
        urgent: false,
        attributes: vec![],
    })
}

/// A text as one safe level of a topic: what MQTT gives a meaning, control characters and `%` are percent-encoded.
///
/// ```
/// assert_eq!(tidegate_sdk::topic_level("urn:imei:1"), "urn:imei:1");
/// assert_eq!(tidegate_sdk::topic_level("a/b#"), "a%2Fb%23");
/// ```
pub fn topic_level(text: &str) -> Cow<'_, str> {
    let is_special = |character: char| matches!(character, '/' | '+' | '#' | '%') || character.is_control();
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut level = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_special(character) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                level.push_str(&format!("%{byte:02X}"));
            }
        } else {
            level.push(character);
        }
    }
    Cow::Owned(level)
}

/// The text that [`topic_level`] made a level of.
///
/// ```
/// assert_eq!(tidegate_sdk::from_topic_level("a%2Fb%23"), "a/b#");
/// assert_eq!(tidegate_sdk::from_topic_level("100%"), "100%");
/// ```
pub fn from_topic_level(level: &str) -> Cow<'_, str> {
    if !level.contains('%') {
        return Cow::Borrowed(level);
    }
    let mut bytes = Vec::with_capacity(level.len());
    let mut rest = level.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(level), Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl Path {
    /// The path of these ids; further ones than four are left out.
    ///
    /// ```
    /// assert_eq!(tidegate_sdk::Path::new(&[3, 0, 9]).to_string(), "/3/0/9");
    /// assert_eq!(tidegate_sdk::Path::new(&[]).to_string(), "/");
    /// ```
    pub fn new(ids: &[u16]) -> Self {
        let id = |level: usize| ids.get(level).copied();
        Self { object: id(0), object_instance: id(1), resource: id(2), resource_instance: id(3) }
    }

    /// Its ids, from the object on.
    ///
    /// ```
    /// assert_eq!(tidegate_sdk::Path::new(&[3, 0, 9]).ids().collect::<Vec<_>>(), [3, 0, 9]);
    /// ```
    pub fn ids(&self) -> impl Iterator<Item = u16> + use<> {
        [self.object, self.object_instance, self.resource, self.resource_instance]
            .into_iter()
            .map_while(|id| id)
    }
}

impl FromStr for Path {
    type Err = NoPath;

    /// Reads `/3303/0/5700`; `/` is the root.
    ///
    /// ```
    /// use tidegate_sdk::Path;
    /// assert_eq!("/3303/0".parse::<Path>().unwrap().to_string(), "/3303/0");
    /// assert_eq!("/3303/70000".parse::<Path>().unwrap_err().to_string(), "\"/3303/70000\" is no path");
    /// ```
    fn from_str(text: &str) -> Result<Self, NoPath> {
        let wrong = || NoPath(text.to_owned());
        let ids = text.strip_prefix('/').ok_or_else(wrong)?;
        if ids.is_empty() {
            return Ok(Self::new(&[]));
        }
        let ids: Vec<u16> = ids.split('/').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        if ids.len() > 4 {
            return Err(wrong());
        }
        Ok(Self::new(&ids))
    }
}

/// A text that is no path.
///
/// ```
/// let wrong = "3303".parse::<tidegate_sdk::Path>().unwrap_err();
/// assert_eq!(wrong.to_string(), "\"3303\" is no path");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPath(String);

impl fmt::Display for NoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no path", self.0)
    }
}

impl std::error::Error for NoPath {}

/// What a path is to other paths.
impl Path {
    /// Whether another path is this one or below it.
    ///
    /// ```
    /// use tidegate_sdk::Path;
    /// let instance = Path::new(&[3303, 0]);
    /// assert!(instance.contains(&Path::new(&[3303, 0, 5700])) && instance.contains(&instance));
    /// assert!(!instance.contains(&Path::new(&[3303, 1])));
    /// ```
    pub fn contains(&self, other: &Self) -> bool {
        let mut others = other.ids();
        self.ids().all(|id| others.next() == Some(id))
    }

    /// The path one level down; none below a resource instance.
    ///
    /// ```
    /// use tidegate_sdk::Path;
    /// assert_eq!(Path::new(&[3303, 0]).with(5700).unwrap().to_string(), "/3303/0/5700");
    /// assert!(Path::new(&[3303, 0, 6050, 0]).with(1).is_none());
    /// ```
    pub fn with(&self, id: u16) -> Option<Self> {
        let mut ids: Vec<u16> = self.ids().collect();
        ids.push(id);
        (ids.len() <= 4).then(|| Self::new(&ids))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_none() {
            return f.write_str("/");
        }
        self.ids().try_for_each(|id| write!(f, "/{id}"))
    }
}

#[allow(clippy::derivable_impls)] // the type is generated
impl Default for Properties {
    fn default() -> Self {
        Self { response_topic: None, correlation: None, expiry: None, content_type: None, user: vec![] }
    }
}

#[allow(clippy::derivable_impls)] // the type is generated
impl Default for Subscriptions {
    fn default() -> Self {
        Self { filters: vec![], parameters: vec![], attributes: vec![] }
    }
}

/// The book's chapter, so that its snippets are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/book/src/rust.md")]
mod book {}

/// Each call allocates a few dozen times; the standard library's allocator takes a third of a small call.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

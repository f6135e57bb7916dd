//! Operations in few words, and contexts that are more than text.
//!
//! ```
//! use tidegate_sdk::{Path, Value, perform, request};
//! let path = Path::new(&[3311, 0, 5850]);
//! let action = perform("lamp", request::write(path, Value::Boolean(true)), "");
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Body, CancelMode, CancelObservation, Create, Delete, Discover, Execute, Fault, Observe, Operation, Path,
    Read, Sample, Value, Write, WriteMode,
};

/// Read a path, in the format of the client's choice.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::read(Path::new(&[3, 0])), Operation::Read(_)));
/// ```
pub fn read(path: Path) -> Operation {
    Operation::Read(Read { path, queries: vec![], accept: None })
}

/// Discover what is below a path.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::discover(Path::new(&[3])), Operation::Discover(_)));
/// ```
pub fn discover(path: Path) -> Operation {
    Operation::Discover(Discover { path, queries: vec![], depth: None })
}

/// Observe a path.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::observe(Path::new(&[3303, 0, 5700])), Operation::Observe(_)));
/// ```
pub fn observe(path: Path) -> Operation {
    Operation::Observe(Observe { path, queries: vec![], accept: None })
}

/// End the observation of a path: the client is told.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::cancel(Path::new(&[3303, 0, 5700])), Operation::CancelObservation(_)));
/// ```
pub fn cancel(path: Path) -> Operation {
    Operation::CancelObservation(CancelObservation { path, queries: vec![], mode: CancelMode::Active })
}

/// Write one resource. The gateway finds the type, if it knows the resource.
///
/// ```
/// use tidegate_sdk::{Operation, Path, Value, request};
/// assert!(matches!(request::write(Path::new(&[3311, 0, 5850]), Value::Boolean(true)), Operation::Write(_)));
/// ```
pub fn write(path: Path, value: Value) -> Operation {
    let body = Body::Samples(vec![Sample { path, value, kind: None, taken: None }]);
    Operation::Write(Write { path, queries: vec![], mode: WriteMode::Replace, body })
}

/// Execute a resource, without arguments.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::execute(Path::new(&[3, 0, 4])), Operation::Execute(_)));
/// ```
pub fn execute(path: Path) -> Operation {
    Operation::Execute(Execute { path, queries: vec![], arguments: None })
}

/// Create an object instance with these values.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::create(Path::new(&[3303]), vec![]), Operation::Create(_)));
/// ```
pub fn create(path: Path, samples: Vec<Sample>) -> Operation {
    Operation::Create(Create { path, queries: vec![], body: Body::Samples(samples) })
}

/// Delete an object instance.
///
/// ```
/// use tidegate_sdk::{Operation, Path, request};
/// assert!(matches!(request::delete(Path::new(&[3303, 1])), Operation::Delete(_)));
/// ```
pub fn delete(path: Path) -> Operation {
    Operation::Delete(Delete { path, queries: vec![] })
}

/// A context of a type of your own; it comes back with every event of the request.
///
/// ```
/// use tidegate_sdk::request::{context, from_context};
///
/// #[derive(serde::Deserialize, serde::Serialize)]
/// struct Asked { id: u32 }
///
/// let text = context(&Asked { id: 7 }).unwrap();
/// assert_eq!(from_context::<Asked>(&text).unwrap().id, 7);
/// ```
///
/// # Errors
/// What cannot be JSON: a mistake of the translator.
pub fn context(of: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(of).map_err(|error| Fault::Internal(format!("a context: {error}")))
}

/// What [`context`] has written. A context may be older than the translator: one that cannot be read is no mistake of
/// anybody.
///
/// ```
/// assert!(tidegate_sdk::request::from_context::<u32>("an older one").is_none());
/// ```
pub fn from_context<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

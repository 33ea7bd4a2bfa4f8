//! Tree → declaration: decoders that report every problem instead of stopping at the first one.
//!
//! A declaration is written once, with [`declaration!`]; from it come the Rust struct, its decoder and its JSON Schema.

mod collections;
mod fields;
mod scalars;

pub use collections::{Entries, OneOrMany, Spanned};
pub(crate) use fields::{Field, Fields, object_schema};
pub use scalars::{Bounded, EnvName, FromText, Keyword, Limit, Size};

use super::diagnostic::{Place, Problem, Problems};
use super::yaml::{Kind, Node, Value};
use drydock_base::text::quoted;
use schemars::{Schema, SchemaGenerator};

/// A type that can be read from a declaration.
pub trait Decode: Sized {
    /// Reads a value, adding what is wrong with it to `problems`. `None` only after a problem was added.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// The value of a key that is left out, for types that have one. For other types, the key is required.
    fn absent() -> Option<Self> {
        None
    }

    /// The substitute for a missing or wrong value, used after the problem was reported so that the rest can be checked.
    fn stand_in() -> Option<Self> {
        Self::absent()
    }

    /// The JSON Schema of what [`Decode::decode`] accepts.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A type of which a default can be shown in the JSON Schema.
pub trait Declared {
    /// The value as it would be written in a declaration.
    fn declared(&self) -> serde_json::Value;
}

/// The problem of a value of the wrong type: `found a list instead of a text`.
pub(crate) fn mismatch(node: &Node, wanted: &str) -> Problem {
    Problem::new(node.place, format!("found {} instead of {wanted}", found(node)))
}

/// The description of a node in messages: ``the text `a` ``, `a list`.
fn found(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => match scalar.kind {
            Kind::Text => format!("the text {}", quoted(&scalar.text)),
            Kind::Null if scalar.text.is_empty() => "nothing".to_owned(),
            Kind::Null => format!("nothing ({})", quoted(&scalar.text)),
            Kind::Bool(_) | Kind::OldBool => format!("the boolean {}", quoted(&scalar.text)),
            Kind::Integer | Kind::Number => format!("the number {}", quoted(&scalar.text)),
        },
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Refused => "something else".to_owned(),
    }
}

/// Reads the whole of a document as one declaration.
pub fn document<T: Decode>(text: &str, problems: &mut Problems) -> Option<T> {
    let root = super::yaml::parse(text, problems);
    match root {
        Some(Node { value: Value::Scalar(scalar), .. }) if scalar.kind == Kind::Null => {
            problems.push(Problem::new(Place::START, "the file declares nothing"));
            None
        }
        Some(root) => T::decode(&root, problems),
        None if problems.is_empty() => {
            problems.push(Problem::new(Place::START, "the file declares nothing"));
            None
        }
        None => None,
    }
}

/// Declares a struct once: fields with doc comments and defaults become the struct, its decoder and its JSON Schema.
///
/// Keys are the field names in kebab-case, and unknown keys are refused. A field may be left out if it has a default
/// (`= expr`), or if its type has a value for that (`Option`, or a declaration of which every field may be left out).
macro_rules! declaration {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident: $type:ty $(= $default:expr)?, )+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* pub $field: $type, )+
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                node: &$crate::yaml::Node,
                problems: &mut $crate::diagnostic::Problems,
            ) -> Option<Self> {
                let fields = $crate::decode::Fields::open(node, &[$(stringify!($field)),+], problems)?;
                $(
                    let absent: fn() -> Option<$type> = declaration!(@absent $type $(, $default)?);
                    let $field = fields.take(stringify!($field), absent, problems);
                )+
                Some(Self { $( $field: $field?, )+ })
            }

            fn absent() -> Option<Self> {
                $(
                    let absent: fn() -> Option<$type> = declaration!(@absent $type $(, $default)?);
                    let $field = absent();
                )+
                Some(Self { $( $field: $field?, )+ })
            }

            fn schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let fields = vec![$(
                    $crate::decode::Field {
                        name: stringify!($field),
                        doc: &[$($field_doc),*],
                        schema: <$type as $crate::decode::Decode>::schema(generator),
                        required: (declaration!(@absent $type $(, $default)?) as fn() -> Option<$type>)().is_none(),
                        default: declaration!(@declared $type $(, $default)?),
                    },
                )+];
                $crate::decode::object_schema(&[$($doc),*], fields)
            }
        }
    };
    (@absent $type:ty) => { <$type as $crate::decode::Decode>::absent };
    (@absent $type:ty, $default:expr) => { || Some($default) };
    (@declared $type:ty) => { None };
    (@declared $type:ty, $default:expr) => {{
        let default: $type = $default;
        Some($crate::decode::Declared::declared(&default))
    }};
}

pub(crate) use declaration;

#[cfg(test)]
mod tests;

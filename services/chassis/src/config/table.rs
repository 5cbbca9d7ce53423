//! One macro that says a configuration type as a table: meaning, name in files, type and default of
//! each field in two lines. It spares a second list of a hundred defaults that could drift apart.

/// Declares a struct that is read from and written to its Kubernetes JSON, with its defaults.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$field_meta:meta])* $json:literal $field:ident: $type:ty = $default:expr; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $( $(#[$field_meta])* #[serde(rename = $json)] pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }
    };
}

pub(super) use table;

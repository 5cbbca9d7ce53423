//! What is wrong with an object, said so that its author can mend it.

use std::{fmt, sync::Arc};

/// Faults of one object that are told one by one; of more only the number is told, so that a slice of a thousand bad
/// addresses is not a thousand events.
const TOLD: usize = 8;

/// The kinds of object that the table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        })
    }
}

/// An object at fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, maybe empty.
    pub namespace: Arc<str>,
    /// Its name, maybe empty.
    pub name: Arc<str>,
}

impl Object {
    /// The object that metadata like this belongs to.
    pub fn new(kind: Kind, namespace: Option<&str>, name: Option<&str>) -> Self {
        Self { kind, namespace: namespace.unwrap_or_default().into(), name: name.unwrap_or_default().into() }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace.escape_debug(), self.name.escape_debug())
    }
}

/// A piece of an object that was left out, and how to bring it in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Whose.
    pub object: Object,
    /// The field's path (`spec.ports[1].nodePort`), or the address that two objects claim.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.object, self.field, self.what, self.remedy)
    }
}

/// Gathers the faults of one object while it is read.
#[derive(Debug)]
pub struct Faults {
    object: Object,
    told: Vec<Fault>,
    untold: usize,
}

impl Faults {
    /// None so far.
    pub fn of(object: Object) -> Self {
        Self { object, told: Vec::new(), untold: 0 }
    }

    /// One more.
    pub fn tell(&mut self, field: impl Into<String>, what: impl Into<String>, remedy: &'static str) {
        if self.told.len() >= TOLD {
            self.untold += 1;
            return;
        }
        let (field, what) = (field.into(), what.into());
        self.told.push(Fault { object: self.object.clone(), field, what, remedy });
    }

    /// All of them, the last one maybe a number of others.
    pub fn into_vec(mut self) -> Vec<Fault> {
        if self.untold > 0 {
            let what = format!("{} more faults", self.untold);
            let object = self.object;
            self.told.push(Fault { object, field: "…".into(), what, remedy: "mend those named first" });
        }
        self.told
    }
}

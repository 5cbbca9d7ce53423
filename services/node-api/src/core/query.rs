//! Query strings, and how Kubernetes turns their texts into values
//! (`k8s.io/apimachinery/pkg/runtime/converter` and its conversions of string slices).

/// The parameters of a request, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

/// A text that is no value of its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecodable;

impl Query {
    /// Takes a query string apart.
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// Whether a parameter is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The first value of a parameter.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A switch of an options object: on when it is there and not `false` or `0`.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// A number of an options object.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Undecodable> {
        self.first(name).map(|value| value.parse().map_err(|_| Undecodable)).transpose()
    }

    /// A switch of the streaming endpoints: on when it is `1`.
    pub(crate) fn is_one(&self, name: &str) -> bool {
        self.first(name) == Some("1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values_as_kubernetes_does_it() {
        let query = Query::parse("follow&previous=false&timestamps=1&tailLines=5&limitBytes=x&a=%2Fb+c&a=d");
        assert!(query.switch("follow"), "a bare name is on");
        assert!(!query.switch("previous"));
        assert!(query.switch("timestamps"));
        assert!(!query.switch("absent"));
        assert_eq!(query.number("tailLines"), Ok(Some(5)));
        assert_eq!(query.number("limitBytes"), Err(Undecodable));
        assert_eq!(query.number("absent"), Ok(None));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["/b c", "d"]);
    }
}

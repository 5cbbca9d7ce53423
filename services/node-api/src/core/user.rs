//! Who a caller is, however that was found out.

use std::collections::BTreeMap;

/// The group of everybody who showed who they are.
const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user that stands for them.
const ANONYMOUS: &str = "system:anonymous";

/// A user as `SubjectAccessReview` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// The id; empty where there is none.
    pub(crate) uid: String,
    /// All groups.
    pub(crate) groups: Vec<String>,
    /// What the authenticator added.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Somebody who did not show anything.
    pub(crate) fn anonymous() -> Self {
        Self { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..Self::default() }
    }

    /// The same user, in the group of those who showed who they are.
    #[must_use]
    pub(crate) fn authenticated(mut self) -> Self {
        let stands_for_nobody =
            self.name == ANONYMOUS || self.groups.iter().any(|group| group == UNAUTHENTICATED);
        if !stands_for_nobody && !self.groups.iter().any(|group| group == AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.into());
        }
        self
    }
}

/// What a connection's certificate told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// There was none, or none are looked at.
    None,
    /// Whose it is.
    Of(User),
    /// It does not count; why, for the log.
    Bad(String),
}

/// What a request's token told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// There was none, or none are looked at.
    None,
    /// Whose it is.
    Of(User),
    /// It does not count.
    Bad,
}

/// Who asks; nobody when that is not shown as it must be. A certificate or token that does not count is not the
/// same as none: whoever shows one does not want to be anonymous.
pub(crate) fn identify(certificate: &Certificate, token: Token, anonymous: bool) -> Option<User> {
    match (certificate, token) {
        (Certificate::Of(user), _) => Some(user.clone().authenticated()),
        (_, Token::Of(user)) => Some(user.authenticated()),
        (Certificate::Bad(_), _) | (_, Token::Bad) => None,
        (Certificate::None, Token::None) => anonymous.then(User::anonymous),
    }
}

/// The bearer token of an `Authorization` header: what follows the word, without blanks around it.
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let mut words = authorization.trim().splitn(3, ' ');
    let scheme = words.next()?;
    let token = words.next().filter(|token| !token.is_empty())?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_word_after_bearer() {
        let cases = [
            ("the usual form", "Bearer abc", Some("abc")),
            ("in lower case", "bearer abc", Some("abc")),
            ("with more after it", "Bearer abc def", Some("abc")),
            ("another scheme", "Basic abc", None),
            ("nothing after it", "Bearer ", None),
            ("only the word", "Bearer", None),
            ("nothing", "", None),
        ];
        for (name, header, token) in cases {
            assert_eq!(bearer(header), token, "{name}");
        }
    }

    #[test]
    fn whoever_shows_something_is_that_or_nobody() {
        let of = |name: &str| User { name: name.into(), ..User::default() };
        let (none, good) = (Certificate::None, Certificate::Of(of("cert")));
        let bad = Certificate::Bad("expired".into());
        let token = || Token::Of(of("token"));
        let cases = [
            ("a certificate", &good, Token::None, false, Some("cert")),
            ("a certificate counts before a token", &good, token(), false, Some("cert")),
            ("and even beside a bad token", &good, Token::Bad, false, Some("cert")),
            ("a token", &none, token(), false, Some("token")),
            ("a token beside a bad certificate", &bad, token(), false, Some("token")),
            ("a bad token", &none, Token::Bad, true, None),
            ("a bad certificate", &bad, Token::None, true, None),
            ("nothing, where that is allowed", &none, Token::None, true, Some(ANONYMOUS)),
            ("nothing, where it is not", &none, Token::None, false, None),
        ];
        for (name, certificate, token, anonymous, want) in cases {
            let user = identify(certificate, token, anonymous);
            assert_eq!(user.as_ref().map(|user| user.name.as_str()), want, "{name}");
        }
    }

    #[test]
    fn only_those_who_showed_themselves_are_in_the_group() {
        let admin = User { name: "admin".into(), groups: vec!["system:masters".into()], ..User::default() };
        assert_eq!(admin.authenticated().groups, ["system:masters", AUTHENTICATED]);
        assert_eq!(User::anonymous().authenticated().groups, [UNAUTHENTICATED]);
    }
}

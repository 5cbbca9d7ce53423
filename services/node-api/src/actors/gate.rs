//! Decides who gets in: who a caller is, and whether he may. Owns the answers that still count.

use crate::{
    core::{
        access::Attributes,
        cache::Cache,
        user::{Certificate, Token, User, identify},
    },
    ports::{NoReview, Reviews},
};
use actix::{Actor, ActorFutureExt, Context, Handler, Message, ResponseActFuture, WrapFuture};
use chassis::{
    clock,
    config::{AuthorizationMode, NodeConfig},
    error,
};
use sha2::{Digest, Sha256};
use std::{rc::Rc, time::Duration};
use tracing::warn;

/// Questions that wait to be looked at; reviews under way do not count.
const MAILBOX: usize = 256;
/// Answers of each kind that are kept.
const ANSWERS: usize = 2048;

/// A token is kept as this only.
type Fingerprint = [u8; 32];

/// How the configuration wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    anonymous: bool,
    tokens: bool,
    tokens_count_for: Duration,
    reviewed: bool,
    yes_counts_for: Duration,
    no_counts_for: Duration,
}

impl Rules {
    /// The rules of a configuration. A standalone node has nobody to ask: it is opened by certificate only,
    /// and never anonymously.
    pub(crate) fn of(config: &NodeConfig) -> Self {
        let (authentication, authorization) = (&config.kubelet.authentication, &config.kubelet.authorization);
        let standalone = config.is_standalone();
        Self {
            anonymous: authentication.anonymous.enabled && !standalone,
            tokens: authentication.webhook.enabled && !standalone,
            tokens_count_for: authentication.webhook.cache_ttl.get(),
            reviewed: authorization.mode == AuthorizationMode::Webhook && !standalone,
            yes_counts_for: authorization.webhook.cache_authorized_ttl.get(),
            no_counts_for: authorization.webhook.cache_unauthorized_ttl.get(),
        }
    }
}

/// The gate.
pub(crate) struct Gate {
    rules: Rules,
    reviews: Option<Rc<dyn Reviews>>,
    tokens: Cache<Fingerprint, Option<User>>,
    access: Cache<Attributes, bool>,
}

impl Gate {
    /// With nothing answered yet.
    pub(crate) fn new(rules: Rules, reviews: Option<Rc<dyn Reviews>>) -> Self {
        Self { rules, reviews, tokens: Cache::new(ANSWERS), access: Cache::new(ANSWERS) }
    }
}

impl Actor for Gate {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

/// Who asks, by what he shows; nobody when it does not count.
#[derive(Debug, Message)]
#[rtype(result = "Option<User>")]
pub(crate) struct WhoIs {
    /// What the connection showed.
    pub(crate) certificate: Certificate,
    /// What the request showed.
    pub(crate) token: Option<String>,
}

impl Handler<WhoIs> for Gate {
    type Result = ResponseActFuture<Self, Option<User>>;

    fn handle(&mut self, WhoIs { certificate, token }: WhoIs, _: &mut Self::Context) -> Self::Result {
        if let Certificate::Bad(why) = &certificate {
            warn!(why, "a client certificate does not count");
        }
        let anonymous = self.rules.anonymous;
        // A certificate that counts needs no token beside it.
        let needed = !matches!(certificate, Certificate::Of(_));
        let (Some(token), Some(reviews)) =
            (token.filter(|_| needed && self.rules.tokens), self.reviews.clone())
        else {
            return Box::pin(actix::fut::ready(identify(&certificate, Token::None, anonymous)));
        };
        let fingerprint: Fingerprint = Sha256::digest(&token).into();
        if let Some(known) = self.tokens.get(&fingerprint, clock::now_boot()) {
            let token = known.map_or(Token::Bad, Token::Of);
            return Box::pin(actix::fut::ready(identify(&certificate, token, anonymous)));
        }
        let reviewed = reviews.token(token).into_actor(self);
        Box::pin(reviewed.map(move |answer, gate: &mut Self, _| {
            identify(&certificate, gate.keep_token(fingerprint, answer), anonymous)
        }))
    }
}

impl Gate {
    fn keep_token(&mut self, fingerprint: Fingerprint, answer: Result<Option<User>, NoReview>) -> Token {
        match answer {
            Ok(user) => {
                let count = self.rules.tokens_count_for;
                self.tokens.put(fingerprint, user.clone(), clock::now_boot(), count);
                user.map_or(Token::Bad, Token::Of)
            }
            Err(failure) => {
                warn!(error = error::chain(&failure), "a token could not be reviewed");
                Token::Bad
            }
        }
    }

    fn keep_access(&mut self, question: Attributes, answer: Result<bool, NoReview>) -> Option<bool> {
        match answer {
            Ok(allowed) => {
                let count = if allowed { self.rules.yes_counts_for } else { self.rules.no_counts_for };
                self.access.put(question, allowed, clock::now_boot(), count);
                Some(allowed)
            }
            Err(failure) => {
                warn!(error = error::chain(&failure), "access could not be reviewed");
                None
            }
        }
    }
}

/// Whether a user may; nothing when nobody could be asked.
#[derive(Debug, Message)]
#[rtype(result = "Option<bool>")]
pub(crate) struct May(pub(crate) Attributes);

impl Handler<May> for Gate {
    type Result = ResponseActFuture<Self, Option<bool>>;

    fn handle(&mut self, May(question): May, _: &mut Self::Context) -> Self::Result {
        if !self.rules.reviewed {
            return Box::pin(actix::fut::ready(Some(true)));
        }
        if let Some(known) = self.access.get(&question, clock::now_boot()) {
            return Box::pin(actix::fut::ready(Some(known)));
        }
        let Some(reviews) = self.reviews.clone() else { return Box::pin(actix::fut::ready(None)) };
        let reviewed = reviews.access(question.clone()).into_actor(self);
        Box::pin(reviewed.map(move |answer, gate: &mut Self, _| gate.keep_access(question, answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::access::questions;
    use futures::{FutureExt, future::LocalBoxFuture};
    use std::cell::{Cell, RefCell};

    /// An API server that knows one token, allows one user, and counts what it is asked.
    #[derive(Default)]
    struct Scripted {
        asked: Cell<usize>,
        away: Cell<bool>,
        seen: RefCell<Vec<Attributes>>,
    }

    fn named(name: &str) -> User {
        User { name: name.into(), ..User::default() }
    }

    impl Reviews for Scripted {
        fn token(&self, token: String) -> LocalBoxFuture<'static, Result<Option<User>, NoReview>> {
            self.asked.set(self.asked.get() + 1);
            let away = self.away.get();
            async move {
                if away { Err(NoReview::TimedOut) } else { Ok((token == "good").then(|| named("jane"))) }
            }
            .boxed_local()
        }

        fn access(&self, question: Attributes) -> LocalBoxFuture<'static, Result<bool, NoReview>> {
            self.asked.set(self.asked.get() + 1);
            self.seen.borrow_mut().push(question.clone());
            let away = self.away.get();
            async move { if away { Err(NoReview::TimedOut) } else { Ok(question.user.name == "jane") } }
                .boxed_local()
        }
    }

    const RULES: Rules = Rules {
        anonymous: false,
        tokens: true,
        tokens_count_for: Duration::from_secs(120),
        reviewed: true,
        yes_counts_for: Duration::from_secs(300),
        no_counts_for: Duration::from_secs(30),
    };

    fn token(token: &str) -> WhoIs {
        WhoIs { certificate: Certificate::None, token: Some(token.into()) }
    }

    #[actix::test]
    async fn a_token_is_reviewed_once_while_the_answer_counts() {
        let reviews = Rc::new(Scripted::default());
        let gate = Gate::new(RULES, Some(reviews.clone())).start();
        for _ in 0..3 {
            assert_eq!(gate.send(token("good")).await.unwrap().unwrap().name, "jane");
            assert_eq!(gate.send(token("bad")).await.unwrap(), None);
        }
        assert_eq!(reviews.asked.get(), 2);
    }

    #[actix::test]
    async fn a_yes_and_a_no_are_kept_and_a_failure_is_not() {
        let reviews = Rc::new(Scripted::default());
        let gate = Gate::new(RULES, Some(reviews.clone())).start();
        let ask = |name: &str| May(questions(&named(name), "GET", "/metrics").remove(0));
        reviews.away.set(true);
        assert_eq!(gate.send(ask("jane")).await.unwrap(), None);
        reviews.away.set(false);
        for _ in 0..3 {
            assert_eq!(gate.send(ask("jane")).await.unwrap(), Some(true));
            assert_eq!(gate.send(ask("joe")).await.unwrap(), Some(false));
        }
        assert_eq!(reviews.asked.get(), 3);
    }

    #[actix::test]
    async fn a_certificate_needs_no_review_of_a_token_beside_it() {
        let reviews = Rc::new(Scripted::default());
        let gate = Gate::new(RULES, Some(reviews.clone())).start();
        let asked = WhoIs { certificate: Certificate::Of(named("node")), token: Some("good".into()) };
        assert_eq!(gate.send(asked).await.unwrap().unwrap().name, "node");
        assert_eq!(reviews.asked.get(), 0);
    }

    #[actix::test]
    async fn without_reviews_whoever_is_known_may() {
        let gate = Gate::new(Rules { reviewed: false, tokens: false, ..RULES }, None).start();
        assert_eq!(gate.send(token("good")).await.unwrap(), None, "tokens are not looked at");
        let question = questions(&named("client"), "GET", "/pods").remove(0);
        assert_eq!(gate.send(May(question)).await.unwrap(), Some(true));
    }
}

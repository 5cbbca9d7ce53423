//! The API server's word on callers, through api-gate: TokenReview and SubjectAccessReview.

use crate::{
    core::{access::Attributes, user::User},
    ports::{NoReview, Reviews},
};
use futures::{FutureExt, future::LocalBoxFuture};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use messages::NodeName;
use std::{rc::Rc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// How long a review may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reviews under way at once.
const AT_ONCE: usize = 32;

/// Reviews by the API server.
#[derive(Clone)]
pub(crate) struct ApiReviews {
    client: Client,
    node: NodeName,
    hands: Rc<Semaphore>,
}

impl ApiReviews {
    /// Reviews about this node.
    pub(crate) fn new(client: Client, node: NodeName) -> Self {
        Self { client, node, hands: Rc::new(Semaphore::new(AT_ONCE)) }
    }

    async fn create<K>(&self, review: K) -> Result<K, NoReview>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        // Never closed.
        let _hand = self.hands.acquire().await;
        let (reviews, params) = (Api::all(self.client.clone()), PostParams::default());
        let asked = reviews.create(&params, &review);
        match timeout(PATIENCE, asked).await {
            Ok(answer) => answer.map_err(|source| NoReview::Refused(Box::new(source))),
            Err(_) => Err(NoReview::TimedOut),
        }
    }
}

impl Reviews for ApiReviews {
    fn token(&self, token: String) -> LocalBoxFuture<'static, Result<Option<User>, NoReview>> {
        let own = self.clone();
        async move {
            let spec = TokenReviewSpec { token, audiences: None };
            let review = own.create(TokenReview { spec, ..TokenReview::default() }).await?;
            let status = review.status.filter(|status| status.authenticated == Some(true));
            Ok(status.and_then(|status| status.user).map(|user| User {
                name: user.username.unwrap_or_default(),
                uid: user.uid.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
                extra: user.extra.unwrap_or_default(),
            }))
        }
        .boxed_local()
    }

    fn access(&self, question: Attributes) -> LocalBoxFuture<'static, Result<bool, NoReview>> {
        let own = self.clone();
        async move {
            let spec = spec(question, &own.node);
            let review = own.create(SubjectAccessReview { spec, ..SubjectAccessReview::default() }).await?;
            Ok(review.status.is_some_and(|status| status.allowed))
        }
        .boxed_local()
    }
}

fn spec(question: Attributes, node: &NodeName) -> SubjectAccessReviewSpec {
    let Attributes { user, verb, subresource } = question;
    let attributes = ResourceAttributes {
        name: Some(node.to_string()),
        resource: Some("nodes".to_owned()),
        subresource: Some(subresource.to_owned()),
        verb: Some(verb.to_owned()),
        version: Some("v1".to_owned()),
        ..ResourceAttributes::default()
    };
    SubjectAccessReviewSpec {
        user: Some(user.name),
        uid: Some(user.uid).filter(|uid| !uid.is_empty()),
        groups: Some(user.groups).filter(|groups| !groups.is_empty()),
        extra: Some(user.extra).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(attributes),
        non_resource_attributes: None,
    }
}

//! The outside as the gate needs it: the API server, and where its credentials come from.

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use rustls::ClientConfig;
use std::{error::Error, rc::Rc};

/// The body of a request or an answer, passed on as it comes.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Any error of a body.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Everything needed to reach the API server as this node.
pub(crate) struct Credentials {
    /// Scheme, authority and possibly a path before every request's own.
    pub(crate) server: Uri,
    /// Client certificate, trusted authorities and whether the server's certificate is looked at.
    pub(crate) tls: ClientConfig,
    /// The name that the server's certificate must bear, when it is not the URL's.
    pub(crate) tls_server_name: Option<String>,
    /// `Bearer …`, marked sensitive.
    pub(crate) authorization: Option<HeaderValue>,
}

/// Where credentials come from. Today a kubeconfig and the files that it names; bootstrap and rotation
/// (CSR signer `kubernetes.io/kube-apiserver-client-kubelet`) have their place behind this trait.
pub(crate) trait Keys {
    /// Whether something changed since they were last read.
    fn have_changed(&self) -> bool;

    /// Reads them.
    ///
    /// # Errors
    /// Naming the file and the field.
    fn read(&mut self) -> Result<Credentials, BoxError>;
}

/// A request that found no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// No connection could be made: nothing was sent.
    #[error("could not connect to the API server")]
    NotSent(#[source] BoxError),
    /// The connection broke before the answer: whether it was acted on is unknown.
    #[error("the connection to the API server broke")]
    Unknown(#[source] BoxError),
}

/// The API server, reached with one set of credentials.
pub(crate) trait Upstream {
    /// Sends a request whose URI has a path and query only. A watch holds its answer open for long, and
    /// gets a connection that short requests need not share.
    fn exchange(
        &self,
        request: Request<Body>,
        watch: bool,
    ) -> LocalBoxFuture<'static, Result<Response<Body>, Lost>>;
}

/// Makes the way to the API server anew, for new credentials.
pub(crate) type Connect = Box<dyn Fn(Credentials) -> Result<Rc<dyn Upstream>, BoxError>>;

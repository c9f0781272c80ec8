//! Whom a request belongs to.

use std::rc::Rc;

use super::name;

/// Whom a request belongs to, proven before its body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant's name, as the credential says it.
    pub tenant: Rc<str>,
    /// The tenant whose terms hold, as a place in [`Tenancy::tenants`](super::Tenancy::tenants):
    /// another one where tenants that are not listed share terms.
    pub terms: usize,
    /// The team.
    pub team: Option<Rc<str>>,
    /// The tier.
    pub tier: Option<Rc<str>>,
    /// The user, of whatever form the credential or the request says.
    pub user: Option<Rc<str>>,
    /// The application.
    pub application: Option<Rc<str>>,
    /// The id of the virtual key, which is no secret.
    pub key: Option<Rc<str>>,
    /// How that is known.
    pub proof: Proof,
}

/// How it is known whom a request belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Nothing was shown, and the configuration allows that.
    #[default]
    Anonymous,
    /// A virtual key.
    Key,
    /// The URI in the client's certificate.
    Certificate,
    /// Claims that Envoy's `jwt_authn` checked.
    Claims,
    /// Headers that a filter before this one set.
    Headers,
    /// The gateway itself: a probe or a copy.
    Own,
}

impl Proof {
    /// The word for it in records and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Claims => "claims",
            Self::Headers => "headers",
            Self::Own => "gateway",
        }
    }
}

impl Caller {
    /// Whom nothing is known of, under the terms of the tenant at `terms`.
    #[must_use]
    pub fn anonymous(tenant: &Rc<str>, terms: usize) -> Self {
        Self {
            tenant: Rc::clone(tenant),
            terms,
            team: None,
            tier: None,
            user: None,
            application: None,
            key: None,
            proof: Proof::Anonymous,
        }
    }

    /// The caller with the user that the request names in its body, where the credential names none. Any
    /// name may stand there: of a longer one what [`name::kept`] keeps counts.
    #[must_use]
    pub fn with_user(caller: &Rc<Self>, user: Option<&str>) -> Rc<Self> {
        match user.filter(|user| !user.is_empty()) {
            Some(user) if caller.user.is_none() => {
                Rc::new(Self { user: Some(name::kept(user)), ..(**caller).clone() })
            }
            _ => Rc::clone(caller),
        }
    }
}

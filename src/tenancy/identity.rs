//! From what a request shows to its caller.
//!
//! ```text
//!  identity: [key, certificate, claims, headers]
//!              │ the first that is there decides; a key that does not hold is refused whatever else is there
//!              ▼
//!            Caller, or 401 (nobody, or not who it says) or 403 (somebody who is not known here)
//! ```

use std::rc::Rc;

use super::index::hash;
use super::key::{Handle, Hash, PREFIX, is_key};
use super::name::kept;
use super::{Caller, Proof, Tenancy, Tenant};
use crate::openai::{Class, Error};
use crate::pattern::Pattern;
use crate::providers::Headers;
use crate::store::Millis;

/// Longest name that a certificate, a claim or a header may give, in bytes. What [`kept`] keeps of it is
/// what it is called from there on.
pub const MAX_NAME_BYTES: usize = 256;

/// One way to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer wp-…`. Another value there is not ours, and the next source decides.
    Key,
    /// The first URI in the certificate of the client.
    Certificate,
    /// Metadata that a filter before this one has set, by the paths of properties.
    Claims(Named),
    /// Headers that a filter before this one has set.
    Headers(Named),
}

/// What names whom: paths of properties, or headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The tenant. Where it is missing, this source says nothing.
    pub tenant: String,
    /// The team, in the place of that of the tenant.
    pub team: Option<String>,
    /// The tier, where the configuration gives the tenant none.
    pub tier: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The application.
    pub application: Option<String>,
}

/// A key and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is compared with.
    pub hash: Hash,
    /// A place in [`Tenancy::tenants`].
    pub tenant: usize,
    /// Its name, else its handle: what records call it.
    pub id: Rc<str>,
    /// The user whose key it is.
    pub user: Option<Rc<str>>,
    /// The application whose key it is.
    pub application: Option<Rc<str>>,
    /// From when on it holds.
    pub not_before: Option<Millis>,
    /// From when on it no longer holds.
    pub expires: Option<Millis>,
    /// Whether it no longer holds.
    pub revoked: bool,
}

/// What a request shows. Each question may cost a call to the host, so only what [`Tenancy::identity`]
/// names is asked for.
pub trait Shown {
    /// The header of that name, in lower case.
    fn header(&self, name: &str) -> Header<'_>;

    /// The property at a path whose steps are separated by zero bytes.
    fn property(&self, path: &str) -> Option<Vec<u8>>;
}

/// The value of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// It is not there, or empty.
    Absent,
    /// The one.
    One(&'a str),
    /// It is no text.
    Bytes,
    /// It stands there more than once: who wrote which cannot be told.
    Twice,
}

impl<'a> Header<'a> {
    /// The value of the header of that name, in lower case, among these.
    #[must_use]
    pub fn of(headers: &Headers<'a>, name: &str) -> Self {
        let mut all = headers.all(name);
        match (all.next(), all.next()) {
            (None, _) | (Some(b""), None) => Self::Absent,
            (Some(value), None) => std::str::from_utf8(value).map_or(Self::Bytes, Self::One),
            (Some(_), Some(_)) => Self::Twice,
        }
    }
}

/// The code of the refusal of a request that shows nothing.
pub const MISSING: &str = "missing_identity";

/// The property with the first URI in the client's certificate.
pub const CERTIFICATE: &str = "connection\0uri_san_peer_certificate";

impl Tenancy {
    /// Whom a request belongs to.
    ///
    /// # Errors
    /// 401 when it shows nothing, or what does not hold; 403 when its tenant is not known here. No
    /// message repeats what was shown.
    pub fn identify(&self, shown: &dyn Shown, now: Millis) -> Result<Caller, Error> {
        let keys = self.identity.contains(&Source::Key);
        let mut key = if keys { self.key(shown, now)? } else { None };
        for source in &self.identity {
            let found = match source {
                Source::Key => key.take(),
                Source::Certificate => self.certificate(shown)?,
                Source::Claims(named) => {
                    let value = |path: &str| match shown.property(path) {
                        Some(value) => text(value).map(Some),
                        None => Ok(None),
                    };
                    self.named(named, &value, Proof::Claims)?
                }
                Source::Headers(named) => {
                    let value = |name: &str| match shown.header(name) {
                        Header::Absent => Ok(None),
                        Header::One(value) => text(value.as_bytes().to_vec()).map(Some),
                        Header::Bytes | Header::Twice => Err(unclear()),
                    };
                    self.named(named, &value, Proof::Headers)?
                }
            };
            if let Some(caller) = found {
                return Ok(caller);
            }
        }
        match self.anonymous.and_then(|at| Some((at, self.tenants.get(at)?))) {
            Some((at, tenant)) => Ok(of(tenant, at, Proof::Anonymous)),
            None => Err(self.nobody()),
        }
    }

    /// A caller of that tenant, as if a header had named it.
    ///
    /// # Errors
    /// 403 for a tenant that is not listed, where none may be.
    pub fn tenant(&self, name: &str) -> Result<Caller, Error> {
        match self.find(name).and_then(|at| Some((at, self.tenants.get(at)?))) {
            Some((at, tenant)) => Ok(of(tenant, at, Proof::Headers)),
            None => self.other(name, None, Proof::Headers),
        }
    }

    fn key(&self, shown: &dyn Shown, now: Millis) -> Result<Option<Caller>, Error> {
        let value = match shown.header("authorization") {
            Header::Absent | Header::Bytes => return Ok(None),
            Header::One(value) => value,
            Header::Twice => {
                return Err(refused("The request has more than one Authorization header."));
            }
        };
        let Some((scheme, key)) = value.split_once(' ') else { return Ok(None) };
        let key = key.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || !key.starts_with(PREFIX) {
            return Ok(None);
        }
        let entry = is_key(key).then(|| self.entry(key)).flatten();
        let Some((entry, tenant)) = entry else {
            return Err(refused(
                "Incorrect API key provided. Keys of this gateway begin with wp-; ask whoever runs it for one.",
            ));
        };
        let told = |message: &str, code: &'static str| Err(refused(message).with_code(code));
        if entry.revoked {
            return told("The API key has been revoked.", "api_key_revoked");
        }
        if entry.expires.is_some_and(|end| now >= end) {
            return told("The API key has expired.", "api_key_expired");
        }
        if entry.not_before.is_some_and(|start| now < start) {
            return told("The API key is not valid yet.", "api_key_not_yet_valid");
        }
        Ok(Some(Caller {
            user: entry.user.clone(),
            application: entry.application.clone(),
            key: Some(Rc::clone(&entry.id)),
            ..of(tenant, entry.tenant, Proof::Key)
        }))
    }

    /// The entry of a key, and its tenant.
    fn entry(&self, key: &str) -> Option<(&Key, &Tenant)> {
        let handle = Handle::of(key);
        let known =
            |at: usize| self.keys.get(at).is_some_and(|entry| entry.hash.handle() == handle);
        let entry = self.keys.get(self.handles.find(handle.number(), known)?)?;
        if !entry.hash.is_of(key) {
            return None;
        }
        Some((entry, self.tenants.get(entry.tenant)?))
    }

    fn certificate(&self, shown: &dyn Shown) -> Result<Option<Caller>, Error> {
        let Some(uri) = shown.property(CERTIFICATE).filter(|uri| !uri.is_empty()) else {
            return Ok(None);
        };
        let uri = text(uri)?;
        match self.certified(&uri) {
            Some((at, tenant)) => Ok(Some(of(tenant, at, Proof::Certificate))),
            None => self.other(&uri, None, Proof::Certificate).map(Some),
        }
    }

    /// Whose certificate it is. Of several patterns the longest says most of the name.
    fn certified(&self, uri: &str) -> Option<(usize, &Tenant)> {
        let is =
            |at: usize| self.certificates.get(at).is_some_and(|(known, _)| known.as_str() == uri);
        let found = match self.exact.find(hash(uri), is) {
            Some(at) => self.certificates.get(at),
            None => {
                let mut longest: Option<&(Pattern, usize)> = None;
                for entry in self.certificates.iter().filter(|(known, _)| !known.is_exact()) {
                    let length = entry.0.as_str().len();
                    if longest.is_none_or(|known| known.0.as_str().len() < length)
                        && entry.0.matches(uri)
                    {
                        longest = Some(entry);
                    }
                }
                longest
            }
        };
        let (_, at) = *found.as_ref()?;
        Some((*at, self.tenants.get(*at)?))
    }

    fn named(
        &self,
        named: &Named,
        value: &dyn Fn(&str) -> Result<Option<String>, Error>,
        proof: Proof,
    ) -> Result<Option<Caller>, Error> {
        let Some(name) = value(&named.tenant)? else { return Ok(None) };
        let part = |name: &Option<String>| -> Result<Option<Rc<str>>, Error> {
            let Some(name) = name else { return Ok(None) };
            Ok(value(name)?.map(|name| kept(&name)))
        };
        let (team, tier) = (part(&named.team)?, part(&named.tier)?);
        let listed = self.find(&name).and_then(|at| Some((at, self.tenants.get(at)?)));
        let mut caller = match listed {
            Some((at, tenant)) => of(tenant, at, proof),
            None => self.other(&name, tier.as_deref(), proof)?,
        };
        if team.is_some() {
            caller.team = team;
        }
        if caller.tier.is_none() {
            caller.tier = tier;
        }
        caller.user = part(&named.user)?;
        caller.application = part(&named.application)?;
        Ok(Some(caller))
    }

    /// Somebody who is not listed.
    fn other(&self, name: &str, tier: Option<&str>, proof: Proof) -> Result<Caller, Error> {
        let of_tier = self.others_of.iter().find(|(known, _)| Some(&**known) == tier);
        // A certificate must not pass for a tenant by being called like one.
        let free = self.find(name).is_none();
        let at = of_tier.map(|(_, at)| *at).or(self.others).filter(|_| free);
        match at.and_then(|at| Some((at, self.tenants.get(at)?))) {
            Some((at, terms)) => Ok(Caller { tenant: kept(name), ..of(terms, at, proof) }),
            None => Err(Error::new(
                Class::Permission,
                "Whoever asks is known, but is no tenant of this gateway. Ask whoever runs it.",
            )
            .with_code("unknown_tenant")),
        }
    }

    /// The refusal of a request that shows nothing.
    fn nobody(&self) -> Error {
        let mut message = "The request does not say who asks. This gateway takes".to_owned();
        for (at, source) in self.identity.iter().enumerate() {
            message.push_str(if at == 0 { " " } else { ", or " });
            message.push_str(match source {
                Source::Key => "a key (Authorization: Bearer wp-…)",
                Source::Certificate => "a client's certificate",
                Source::Claims(_) => "a token with the tenant in its claims",
                Source::Headers(_) => "what a filter before it has checked",
            });
        }
        message.push('.');
        Error::new(Class::Auth, message).with_code(MISSING)
    }
}

/// A caller of whom only the tenant is known.
fn of(tenant: &Tenant, at: usize, proof: Proof) -> Caller {
    Caller {
        team: tenant.team.clone(),
        tier: tenant.tier.clone(),
        proof,
        ..Caller::anonymous(&tenant.name, at)
    }
}

/// A name as it came. Numbers and lists among claims come as bytes that are none.
fn text(bytes: Vec<u8>) -> Result<String, Error> {
    let fits = (1..=MAX_NAME_BYTES).contains(&bytes.len());
    let text = String::from_utf8(bytes).ok().filter(|_| fits);
    text.filter(|text| !text.chars().any(char::is_control)).ok_or_else(unclear)
}

fn unclear() -> Error {
    let message = "Who asks cannot be told: what names the tenant, team, tier, user or application is there more than once, or is no text of 1 to 256 bytes.";
    Error::new(Class::Auth, message).with_code("invalid_identity")
}

fn refused(message: &str) -> Error {
    Error::new(Class::Auth, message)
}

#[cfg(test)]
mod tests;

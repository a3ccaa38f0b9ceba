//! Certificates of clients that must be for one of several names, beside being signed by the CA.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Demands one of some names of a client's certificate that the inner verifier accepts.
#[derive(Debug)]
pub(super) struct Named {
    inner: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
    addresses: Vec<ServerName<'static>>,
}

impl Named {
    /// DNS names are compared letter by letter, not as patterns. The error is the name that is neither a DNS name nor an
    /// address.
    pub(super) fn new(inner: Arc<dyn ClientCertVerifier>, allowed: &[String]) -> Result<Self, String> {
        let mut this = Self { inner, names: Vec::new(), addresses: Vec::new() };
        for name in allowed {
            match ServerName::try_from(name.clone()) {
                Ok(address @ ServerName::IpAddress(_)) => this.addresses.push(address),
                Ok(_) => this.names.push(name.clone()),
                Err(_) => return Err(name.clone()),
            }
        }
        Ok(this)
    }

    fn is_allowed(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return false };
        certificate.valid_dns_names().any(|name| self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)))
            || self.addresses.iter().any(|address| certificate.verify_is_valid_for_subject_name(address).is_ok())
    }
}

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        if self.is_allowed(end_entity) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

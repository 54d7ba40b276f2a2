//! TLS by rustls, with ring as its cryptography.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::error::ConnectError;
use super::transport::BoxStream;
use crate::config::Address;
use crate::error::ClientError;

/// Whom to trust, and the client's own certificate where brokers ask for one (Kafka: `ssl.*`).
/// Names of hosts are always checked (Kafka: `ssl.endpoint.identification.algorithm=https`).
/// Certificates are PEM (KIP-651); there are no key stores.
#[derive(Clone)]
pub struct TlsConfig {
    config: Arc<ClientConfig>,
}

impl TlsConfig {
    /// Trusts the certificate authorities that this machine trusts.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] if the machine has none, or none that can be read.
    pub fn system_roots() -> Result<Self, ClientError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (good, _) = roots.add_parsable_certificates(found.certs);
        if good == 0 {
            let reason = found.errors.first().map_or_else(
                || "the system has no certificate authorities: give a CA file".to_owned(),
                ToString::to_string,
            );
            return Err(ClientError::config("tls", "system roots", reason));
        }
        Self::build(roots, None)
    }

    /// Trusts the certificate authorities in this PEM text and nobody else (Kafka:
    /// `ssl.truststore.certificates`).
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] if the text holds no certificate, or a broken one.
    pub fn ca(pem: &[u8]) -> Result<Self, ClientError> {
        Self::build(roots(pem)?, None)
    }

    /// As [`Self::ca`], and shows brokers that ask for it this certificate chain with its key, both
    /// PEM (Kafka: `ssl.keystore.certificate.chain`, `ssl.keystore.key`). The key is not encrypted.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] if a text holds no certificate, no key, or a broken one, or if key
    /// and certificate are not a pair.
    pub fn ca_and_client(ca: &[u8], chain: &[u8], key: &[u8]) -> Result<Self, ClientError> {
        let chain = certificates("tls client certificate", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            ClientError::config("tls client key", "", format!("no private key: {error}"))
        })?;
        Self::build(roots(ca)?, Some((chain, key)))
    }

    fn build(
        roots: RootCertStore,
        client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let failed = |error: rustls::Error| ClientError::config("tls", "", error.to_string());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots);
        let config = match client {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(failed)?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Makes TLS out of a plain stream. The broker's certificate has to be for the address's host.
    pub(super) async fn wrap(
        &self,
        stream: BoxStream,
        address: &Address,
    ) -> Result<BoxStream, ConnectError> {
        let failed = |reason: String| ConnectError::Tls {
            address: address.to_string(),
            reason,
        };
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| failed("the host is neither a name nor an address".to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(rustls::Error::InvalidMessage(_)) => Err(failed(format!(
                    "{error}: is it a plaintext listener? Then do without TLS"
                ))),
                Some(rustls::Error::InvalidCertificate(_)) => Err(failed(format!(
                    "{error}: the broker's certificate is to be for {:?} and from an authority that \
                     is trusted",
                    address.host
                ))),
                Some(error) => Err(failed(error.to_string())),
                // The network, or a plaintext listener that closes what it does not understand:
                // only the former can be better the next time, and it costs little to try.
                None => Err(ConnectError::Io {
                    address: address.to_string(),
                    error: Arc::new(std::io::Error::new(
                        error.kind(),
                        format!(
                            "the TLS handshake broke off ({error}): is it a plaintext listener?"
                        ),
                    )),
                }),
            },
        }
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls ca", pem)? {
        roots
            .add(certificate)
            .map_err(|error| ClientError::config("tls ca", "", error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(
    option: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(ClientError::config(
            option,
            "",
            "there is no certificate in it: give PEM text, -----BEGIN CERTIFICATE-----",
        )),
        Err(error) => Err(ClientError::config(option, "", format!("PEM: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told() {
        let error = TlsConfig::ca(b"hello").unwrap_err().to_string();
        assert!(error.contains("tls ca") && error.contains("PEM"), "{error}");
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(TlsConfig::ca(broken).is_err());
    }
}

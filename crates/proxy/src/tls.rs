//! TLS towards the server: whose certificate is accepted, and what is asked of it.
//!
//! The modes are libpq's. `prefer` and, without a root certificate, `require` encrypt and verify
//! nothing; `require` with a root certificate is `verify-ca`.
//!
//! Two differences to libpq come from the verifier. A host name is looked for among the
//! certificate's subject alternative names only, never in its common name. A certificate without
//! version 3 extensions is accepted only where nothing is verified.
//!
//! Who connects, and in which order messages travel, is the affair of [`crate::upstream`].

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{ClientCertificate, TlsMode};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject},
    server::ParsedCertificate,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// TLS cannot be set up as the configuration asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of `sslrootcert` cannot be read or is not PEM.
    #[error("cannot read root certificates from `{}`: {source}", path.display())]
    RootCertificate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// The file of `sslcert` or `sslkey` cannot be read or is not PEM.
    #[error("cannot read {what} from `{}`: {source}", path.display())]
    ClientCertificate {
        /// Certificates, or a key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// There is nothing a server certificate could be checked against.
    #[error("no root certificate in {0}")]
    NoRoots(String),
    /// The host can be no name in a certificate.
    #[error("`{0}` cannot be the host name of a TLS server")]
    Name(String),
    /// The roots or the protocol versions do not suit the cryptography in use.
    #[error("TLS cannot be set up: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The same, for everything that is not a root certificate.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Makes TLS connections to one server.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Prepares TLS for a host; `None` when the mode is `disable`.
    ///
    /// Reads certificate files, so it belongs to start and reload.
    pub(crate) fn new(upstream: &config::Upstream) -> Result<Option<Self>, TlsError> {
        let (root, host) = (upstream.root_certificate.as_deref(), &upstream.host);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let own = Arc::clone(&provider);
        let check = match (upstream.tls, root) {
            (TlsMode::Disable, _) => return Ok(None),
            (TlsMode::Prefer, _) | (TlsMode::Require, None) => Check::Nothing,
            (TlsMode::Require, Some(_)) | (TlsMode::VerifyCa, _) => {
                Check::Chain(Trusted::load(root, &provider)?)
            }
            (TlsMode::VerifyFull, _) => Check::ChainAndName(Trusted::load(root, &provider)?),
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| TlsError::Name(host.clone()))?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { check, provider }));
        let mut config = match &upstream.client_certificate {
            None => builder.with_no_client_auth(),
            Some(ours) => builder.with_client_cert_resolver(read_pair(ours, &own)?),
        };
        config.enable_sni = upstream.names_host;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Some(Self {
            config: Arc::new(config),
            name,
        }))
    }

    /// Shakes hands on a socket whose server has agreed to TLS.
    ///
    /// Not cancel safe: the socket is lost with the future.
    pub(crate) async fn handshake(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(Arc::clone(&self.config))
            .connect(self.name.clone(), socket)
            .await
    }

    /// The host that certificates are compared with.
    pub(crate) fn host(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// The rules themselves, for a client library that shakes hands on its own.
    pub(crate) fn client_config(&self) -> &ClientConfig {
        &self.config
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Reads the certificate that proves to the server who we are, and its key. The server judges it: the
/// form that PostgreSQL's manual tells one to make is too old for others to read.
fn read_pair(
    ours: &ClientCertificate,
    provider: &CryptoProvider,
) -> Result<Arc<SingleCertAndKey>, TlsError> {
    let unreadable = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::ClientCertificate { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(&ours.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(unreadable("certificates", &ours.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&ours.key).map_err(unreadable("a key", &ours.key))?;
    let pair = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
    if let Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) =
        pair.keys_match()
    {
        return Err(error.into());
    }
    Ok(Arc::new(pair.into()))
}

/// What is asked of a server certificate.
#[derive(Debug)]
enum Check {
    /// Nothing.
    Nothing,
    /// It leads to a trusted root.
    Chain(Trusted),
    /// The same, and it names the host.
    ChainAndName(Trusted),
}

/// Certificates that end a chain.
#[derive(Debug)]
struct Trusted {
    chains: Arc<WebPkiServerVerifier>,
    /// The certificates of `sslrootcert`. A server may present one of them as its own, which is
    /// how a self-signed server certificate is trusted; a chain cannot be built to it, because
    /// such a certificate usually says that it is an authority.
    pinned: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Reads a file of roots, or the system's when there is none or it is called `system`.
    fn load(root: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let mut pinned = Vec::new();
        match root.filter(|path| *path != Path::new("system")) {
            Some(path) => {
                let unreadable = |source| TlsError::RootCertificate {
                    path: path.to_owned(),
                    source,
                };
                pinned = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(unreadable)?;
                let (added, _) = roots.add_parsable_certificates(pinned.iter().cloned());
                if added == 0 {
                    return Err(TlsError::NoRoots(format!("`{}`", path.display())));
                }
            }
            None => {
                // One unreadable certificate among the system's many is no reason to stop.
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    return Err(TlsError::NoRoots("the system's store".to_owned()));
                }
            }
        }
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()?;
        Ok(Self { chains, pinned })
    }

    /// Whether a certificate is trusted, and names the host if that is asked.
    fn verify(
        &self,
        shown: &Shown<'_>,
        host_matters: bool,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.contains(shown.certificate) {
            if host_matters {
                verify_server_name(&ParsedCertificate::try_from(shown.certificate)?, shown.host)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let outcome = self.chains.verify_server_cert(
            shown.certificate,
            shown.intermediates,
            shown.host,
            shown.ocsp,
            shown.now,
        );
        match outcome {
            // The name is looked at last: whoever complains about it found the chain in order.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !host_matters => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }
}

/// What a server showed in its handshake.
struct Shown<'a> {
    certificate: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    host: &'a ServerName<'a>,
    ocsp: &'a [u8],
    now: UnixTime,
}

/// Puts [`Check`] to work inside a handshake.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Shown {
            certificate,
            intermediates,
            host,
            ocsp,
            now,
        };
        match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::Chain(trusted) => trusted.verify(&shown, false),
            Check::ChainAndName(trusted) => trusted.verify(&shown, true),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.check {
            // A signature proves that its maker holds the certificate's key. Anyone may have made
            // both where the certificate is not looked at, and the certificates that PostgreSQL's
            // manual tells one to make are too old in form to be read for their key.
            Check::Nothing => Ok(HandshakeSignatureValid::assertion()),
            Check::Chain(trusted) | Check::ChainAndName(trusted) => trusted
                .chains
                .verify_tls12_signature(message, certificate, signature),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.check {
            Check::Nothing => Ok(HandshakeSignatureValid::assertion()),
            Check::Chain(trusted) | Check::ChainAndName(trusted) => trusted
                .chains
                .verify_tls13_signature(message, certificate, signature),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The protocol's name within TLS. Servers before version 17 do not look at it.
pub(crate) const ALPN: &[u8] = b"postgresql";

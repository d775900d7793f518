//! TLS towards clients: the certificate that is shown, and how a handshake begins.
//!
//! A client asks for TLS with an SSLRequest, or begins with a handshake at once, as libpq does
//! since version 17 with `sslnegotiation=direct`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::ClientTls;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{
    stream::{ClientStream, ServerStream, Stream},
    tls::ALPN,
};

/// TLS towards clients cannot be set up as the configuration asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptorError {
    /// A file cannot be read, or does not hold what it should.
    #[error("cannot read {what} from `{}`: {source}", path.display())]
    File {
        /// Certificates, or a key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// The certificate and the key are not a pair, or of a kind that is not known.
    #[error("`{}` and `{}` do not go together: {source}", certificate.display(), key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What went wrong.
        source: rustls::Error,
    },
}

/// Makes TLS connections with clients.
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    /// Clients that do not encrypt are refused.
    pub(crate) required: bool,
}

impl Acceptor {
    /// Reads the certificate and its key; `None` where there are none to read.
    pub(crate) fn load(settings: Option<&ClientTls>) -> Result<Option<Self>, AcceptorError> {
        settings.map(Self::new).transpose()
    }

    fn new(settings: &ClientTls) -> Result<Self, AcceptorError> {
        let chain = certificates(&settings.certificate)?;
        let certificate = chain
            .first()
            .cloned()
            .ok_or_else(|| unreadable("certificates", &settings.certificate)(NOTHING))?;
        let key = PrivateKeyDer::from_pem_file(&settings.key)
            .map_err(unreadable("a key", &settings.key))?;
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|source| AcceptorError::Pair {
                certificate: settings.certificate.clone(),
                key: settings.key.clone(),
                source,
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            certificate,
            required: settings.required,
        })
    }

    /// Shakes hands with a client that has been told to begin.
    ///
    /// Not cancel safe: the socket is lost with the future.
    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<ClientStream> {
        let stream = TlsAcceptor::from(Arc::clone(&self.config))
            .accept(socket)
            .await?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Shakes hands with a client that has begun unasked. It has to say which protocol it means to
    /// speak: that keeps handshakes meant for others from being taken for ours.
    ///
    /// Not cancel safe: the socket is lost with the future.
    pub(crate) async fn accept_direct(&self, socket: TcpStream) -> io::Result<ClientStream> {
        let stream = TlsAcceptor::from(Arc::clone(&self.config))
            .accept(socket)
            .await?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other("TLS without the protocol's name in it"));
        }
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Whether the server shows the certificate that we show: then what a client binds to our
    /// channel is bound to the server's as well (RFC 5929, `tls-server-end-point`).
    pub(crate) fn shows_same_as(&self, server: &ServerStream) -> bool {
        server.certificate() == Some(&self.certificate)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

/// Whether a client begins with a TLS handshake. Takes nothing from the socket.
pub(crate) async fn begins_with_tls(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(socket.peek(&mut first).await? == 1 && first == [HANDSHAKE])
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AcceptorError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(unreadable("certificates", path))
}

fn unreadable(what: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> AcceptorError {
    let path = path.to_owned();
    move |source| AcceptorError::File { what, path, source }
}

/// A file in which there is nothing of the kind that is looked for.
const NOTHING: pem::Error = pem::Error::NoItemsFound;

/// What the first record of a handshake begins with; no packet of PostgreSQL's is so long.
const HANDSHAKE: u8 = 0x16;

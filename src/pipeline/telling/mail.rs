//! Mail, by lettre.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Message as Letter, SmtpTransport, Transport};

use super::config::{Mail, Protection};
use crate::pipeline::asking::Asking;
use crate::respond::notify::Message;

/// How long one mail may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Sends one message.
pub(super) fn send(mail: &Mail, message: &Message, text: &str, asking: &Asking) -> Result<(), String> {
    let to = message.to.trim();
    if to.is_empty() {
        return Err("nobody is known to send it to: `fallback` names somebody".into());
    }
    let address = |text: &str| text.parse::<Mailbox>().map_err(|e| format!("`{text}` is no address: {e}"));
    let letter = Letter::builder().from(address(&mail.from)?).to(address(to)?).subject(message.subject());
    // Plain text only: nothing in it is read as markup.
    let part = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text.to_owned());
    let letter = letter.multipart(MultiPart::mixed().singlepart(part)).map_err(|e| e.to_string())?;
    let protection = match mail.tls {
        Protection::None => Tls::None,
        Protection::Starttls => Tls::Required(parameters(mail, asking)?),
        Protection::Tls => Tls::Wrapper(parameters(mail, asking)?),
    };
    let mut transport =
        SmtpTransport::builder_dangerous(&mail.host).port(mail.port).tls(protection).timeout(Some(WITHIN));
    if let Some((user, password)) = &mail.user {
        transport = transport.credentials(Credentials::new(user.to_string(), password.to_string()));
    }
    transport.build().send(&letter).map(drop).map_err(|e| {
        // A server may say the password back.
        let said = e.to_string();
        let holds = mail.user.iter().any(|(_, p)| !p.is_empty() && said.contains(p.as_str()));
        if holds { "the mail server refuses it".into() } else { crate::notes::printable(said.as_bytes()) }
    })
}

fn parameters(mail: &Mail, asking: &Asking) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(mail.host.clone());
    for authority in &asking.network.authorities {
        let certificate = Certificate::from_der(authority.to_vec()).map_err(|e| e.to_string())?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|e| e.to_string())
}

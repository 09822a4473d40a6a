//! Servers of log-ins: whatever they say, the conversation ends, and nobody is let in without having been asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsprawl::rules::schema::ask::Protocol;
use unsprawl::verify::login::replay;

const ALL: [Protocol; 8] = [
    Protocol::Postgres,
    Protocol::Mysql,
    Protocol::Redis,
    Protocol::Mongodb,
    Protocol::Amqp,
    Protocol::Smtp,
    Protocol::Imap,
    Protocol::Ldap,
];

fuzz_target!(|data: &[u8]| {
    let Some((which, says)) = data.split_first() else { return };
    let stream = tokio::io::join(std::io::Cursor::new(says.to_vec()), tokio::io::sink());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _ = runtime.block_on(replay(ALL[usize::from(*which) % ALL.len()], stream));
});

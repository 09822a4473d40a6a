//! Where each posture stands in the standards that auditors ask by.
//!
//! Sources: OWASP Non-Human Identities Top 10 (2025), <https://owasp.org/www-project-non-human-identities-top-10/2025/>;
//! NIST Cybersecurity Framework 2.0 (NIST CSWP 29), <https://doi.org/10.6028/NIST.CSWP.29>;
//! NIST SP 800-63B-4, section 4 "Authenticator Event Management", <https://pages.nist.gov/800-63-4/sp800-63b/events/>.

use super::PostureKind;

impl PostureKind {
    /// References of this posture, by stable ids: `owasp-nhi:…`, `nist-csf:…`, `nist-sp-800-63b-4:…`.
    pub fn references(self) -> &'static [&'static str] {
        match self {
            Self::Orphaned => &["owasp-nhi:NHI1-2025", "nist-csf:PR.AA-01", "nist-sp-800-63b-4:4-invalidation"],
            Self::Shared => {
                &["owasp-nhi:NHI9-2025", "owasp-nhi:NHI10-2025", "nist-csf:PR.AA-02", "nist-sp-800-63b-4:4-binding"]
            }
            Self::OverScoped => &["owasp-nhi:NHI5-2025", "nist-csf:PR.AA-05"],
            Self::NoExpiry => &["owasp-nhi:NHI7-2025", "nist-csf:PR.AA-01", "nist-sp-800-63b-4:4-expiration"],
            Self::LongLived => &["owasp-nhi:NHI7-2025", "nist-csf:PR.AA-01", "nist-sp-800-63b-4:4-expiration"],
            Self::Stale => &["owasp-nhi:NHI1-2025", "nist-csf:PR.AA-01", "nist-csf:PR.AA-05"],
            Self::StillPresent => &["owasp-nhi:NHI2-2025", "nist-csf:PR.DS-01"],
            Self::ExposedFor => &["owasp-nhi:NHI2-2025", "nist-csf:RS.MI-01", "nist-sp-800-63b-4:4-compromise"],
        }
    }
}

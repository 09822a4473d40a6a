//! Paths that many people and machines share: CI configuration, Compose, Terraform, Helm.
//!
//! Contract: by path alone, without case.

/// What kind of shared automation a path belongs to.
pub fn kind(path: &[u8]) -> Option<&'static str> {
    let path = String::from_utf8_lossy(path).to_lowercase();
    let file = path.rsplit('/').next().unwrap_or_default();
    let in_folder = |folder: &str| path.starts_with(&format!("{folder}/")) || path.contains(&format!("/{folder}/"));
    let yaml = file.ends_with(".yml") || file.ends_with(".yaml");
    let stem = file.split('.').next().unwrap_or_default();
    if CI_FILES.contains(&file) || CI_FOLDERS.iter().any(|f| in_folder(f)) || file.starts_with("jenkinsfile") {
        return Some("CI configuration");
    }
    if yaml && (stem == "compose" || stem.starts_with("docker-compose") || stem.starts_with("docker-stack")) {
        return Some("a Compose file");
    }
    if [".tf", ".tfvars", ".tfstate", ".tf.json", ".tfvars.json", ".tfstate.backup"].iter().any(|e| file.ends_with(e)) {
        return Some("Terraform");
    }
    let helm = in_folder("charts") || in_folder("chart") || in_folder("helm") || in_folder("templates");
    if file == "helmfile.yaml" || (yaml && helm) || (yaml && (stem == "values" || stem.starts_with("values-"))) {
        return Some("Helm");
    }
    None
}

const CI_FILES: [&str; 14] = [
    ".gitlab-ci.yml",
    ".gitlab-ci.yaml",
    ".travis.yml",
    ".drone.yml",
    ".woodpecker.yml",
    ".cirrus.yml",
    "appveyor.yml",
    ".appveyor.yml",
    "azure-pipelines.yml",
    "azure-pipelines.yaml",
    "bitbucket-pipelines.yml",
    "buildspec.yml",
    "cloudbuild.yaml",
    "wercker.yml",
];

const CI_FOLDERS: [&str; 9] = [
    ".github/workflows",
    ".github/actions",
    ".gitlab/ci",
    ".circleci",
    ".buildkite",
    ".gitea/workflows",
    ".forgejo/workflows",
    ".woodpecker",
    ".azure-pipelines",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_places_are_told_from_others() {
        let shared = [
            ".github/workflows/ci.yml",
            "sub/.gitlab-ci.yml",
            "Jenkinsfile.release",
            "docker-compose.prod.yml",
            "infra/main.tf",
            "prod.tfvars",
            "charts/app/values.yaml",
            "deploy/values-prod.yaml",
        ];
        for path in shared {
            assert!(kind(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["src/main.rs", ".env", "compose.txt", "docs/terraform.md", "values.json", "templates/page.html"] {
            assert_eq!(kind(path.as_bytes()), None, "{path}");
        }
    }
}

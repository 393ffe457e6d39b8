"""Tests that names of secrets of every family are recognized in all spellings, and that other names are not."""

import pytest

from worker.agent.secret_names import is_hidden, is_secret

FAMILIES = {
    "keys": """
        id_rsa ID_RSA id_rsa.pub id_ed25519 deploy_rsa keys/id_ecdsa server.pem server.key SERVER.KEY cert.p12 a.pfx
        store.jks x.ppk AuthKey_ABC.p8 release.keystore private_key privateKey.txt signing.gpg keys.asc server.crt
        known_hosts authorized_keys ssh_host_rsa_key id_rsa.py .ssh/config dot_ssh/config""",
    "cloud credentials": """
        service-account.json service_account.json ServiceAccount.json serviceAccountKey.json sa.json gcp-key.json
        my-service-account-prod.json client_secret_123.apps.json credentials credentials.json aws_credentials.csv
        .aws/credentials .kube/config kubeconfig kubeconfig.yaml prod.kubeconfig config/credentials.yml.enc rootkey.csv
        application_default_credentials.json google-services.json firebase-adminsdk-abc.json api-keys.json apikey.json
        access_token.txt accessTokens.json .boto .s3cfg""",
    "environment files": """
        .env .ENV env prod.env .env.local env.local env.production .envrc envrc ENV.Production env.json env.yaml
        .env.2024-01-01 sample.env env.example config/.env app.env.yml appsettings.Production.json""",
    "infrastructure state": """
        terraform.tfstate prod.tfvars prod.auto.tfvars.json x.tfplan .terraform/x Pulumi.prod.yaml
        terraform.tfstate.1699999999.backup terraform.tfstate.d/prod/x vault_pass.txt .vault_pass wg0.conf""",
    "database and registry credentials": """
        .pgpass pgpass pgpass.conf my.cnf database.yml .npmrc npmrc .pypirc .netrc _netrc .dockercfg docker-config.json
        .docker/config.json auth.json nuget.config NuGet.Config .git-credentials .git/config .htpasswd htpasswd
        credentials.tfrc.json local_settings.py gradle.properties wp-config.php""",
    "anything called a secret": """
        secrets.yaml secret.json db-secret.yaml Secrets.toml secrets.py passwords.txt password.txt db_password
        secrets/db secrets/app/token arduino_secrets.h""",
    "histories": """
        .bash_history bash_history .zsh_history zsh_history psql_history .python_history mysql_history fish_history
        rediscli_history .node_repl_history ConsoleHost_history.txt .viminfo _viminfo""",
    "dumps": "dump.sql prod.sql backup.sql.gz db.sqlite3 users.db dump.rdb",
    "backups of any of these": """
        id_rsa.bak id_rsa.old.gz id_rsa_old id_rsa-backup server.key~ server.key.orig .env.swp .env~ .env.old.1
        production.env.bak .id_rsa.swp #.env# .#id_rsa copy-of-id_rsa service-account.json.old service-account(1).json
        terraform.tfstate.backup pgpass.save wp-config.php.bak secrets.yaml.orig .bash_history.bak credentials~
        service-account-key.json.BAK kubeconfig.bak2 tfvars.old/prod.tfvars.tmp""",
    "tokens, databases and codes": """github_token.txt api_token.txt npm-token slack-token.json stripe_tokens.csv
        server.pem.txt cert.PEM.txt data.sqlite-wal app.db-journal app.mdb recovery-codes.txt mfa-backup-codes.txt
        wallet.dat dotenv.txt application-prod.properties application-production.yml localsettings.py
        secrets.prod.ts""",
    "environment files without a dot": """env-prod env_prod production_env prod-env.sh app.env-staging.yml dotenv.prod
        prod.dotenv dot_env_local env-prod.bak""",
    "files that programs name themselves": """my-project-1a2b3c4d5e6f.json group_vars/all/vault.yml ansible-vault.yaml
        rclone.conf local.settings.json age/keys.txt cookies.txt session.har dbt/profiles.yml kubelet.conf
        kubernetes/admin.conf tfplan.out registry-auth.json""",
}
PROGRAMS = """
    src/Checkout.tsx README.md package.json src/env.ts env.d.ts src/secrets/list.tsx pages/secrets.tsx password_reset.py
    src/credentials.service.ts tokens.json design-tokens.json src/keyboard.json monkey.json docs/history.md
    order_history.py release_history.md Makefile Dockerfile docker-compose.yml docker/Dockerfile terraform/main.tf
    kube/deployment.yaml git/readme.md LICENSE public/logo.svg src/app/[id]/page.tsx tsconfig.json environment.ts
    src/environments/environment.prod.ts lib/rsa.py pnpm-lock.yaml hotkeys.json i18n/en.json environment.yml
    src/env_test.go test_env.py
    docs/vault.md prod.json locales/env-settings.json test/fixtures/order-12.json vaults.json profiles.json
    requirements.txt data.csv v1.2.3 values.yaml auth.ts auth/login.tsx appsettings.json settings.py old/page.tsx
    backup.ts src/secret-santa/page.tsx Procfile vault/README.md ssh/client.go CHANGELOG identity.ts config.json
    secrets.service.ts application.yml text.txt tokens.ts
    routes.rb schema.prisma migrations/001_create.sql schema.sql"""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_secret_is_recognized_by_its_name(family: str) -> None:
    names = FAMILIES[family].split()
    assert [name for name in names if not is_secret(name)] == []
    # Case separates the words of `serviceAccountKey`, so only names in lower case are also tried in upper case.
    loud = [name.upper() for name in names if name.islower()]
    assert [name for name in loud if not is_secret(name)] == []


@pytest.mark.parametrize("folder", ["src", "a/b c/[id]", "deploy/Production"])
def test_a_secret_is_one_in_any_folder(folder: str) -> None:
    names = [name for names in FAMILIES.values() for name in names.split()]
    assert [name for name in names if not is_secret(f"{folder}/{name}")] == []


@pytest.mark.parametrize(
    "ending", [".bak", "~", ".old", ".orig", ".swp", ".save", ".BAK", "-backup", ".1", ".gz", " copy"]
)
def test_a_backup_of_a_secret_is_a_secret(ending: str) -> None:
    names = [name for names in FAMILIES.values() for name in names.split()]
    assert [name for name in names if not is_secret(name + ending)] == []


def test_ordinary_files_are_no_secrets() -> None:
    assert [name for name in PROGRAMS.split() if is_secret(name)] == []


def test_a_long_name_is_judged_quickly() -> None:
    for name in ("-" * 250, "1.1." * 60, ".bak" * 60, "id_" * 80, "a_" * 120, "env." * 60):
        is_secret(name)


@pytest.mark.parametrize("path", [".env", "a/.b/c", ".git/config", "a/.b"])
def test_a_path_is_hidden_if_any_of_its_parts_begins_with_a_dot(path: str) -> None:
    assert is_hidden(path)
    assert not is_hidden("a/b.c") and not is_hidden("a.b/c..d")

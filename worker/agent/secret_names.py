"""Knows by their names which files hold secrets. The agent reads none of them, whatever ignore files say.

The families: keys and certificates' stores, cloud and service credentials, environment files, infrastructure state,
database and registry credentials, histories of shells and clients, dumps of databases, and backups of any of these.
Names are compared whatever their case. An example (`env.example`) counts as what it is an example of: people fill them
in. Hidden files are never read at all, so that `.env` or `.ssh` need no rule here; they have one all the same.
"""

import re
from functools import lru_cache
from pathlib import PurePosixPath


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SOURCE_ENDINGS = _set(
    """
    py pyi ipynb ts tsx js jsx mjs cjs mts cts vue svelte astro rb go rs java kt kts scala groovy php cs fs vb swift m
    mm c cc cpp cxx h hh hpp dart lua ex exs erl clj cljs elm hs ml r jl html htm css scss sass less md mdx rst adoc
    graphql gql proto
    """
)
"""A file that ends so is a program or a document about secrets, say `password_reset.py`, and no secret itself."""

_FOLDERS = re.compile(
    r"\.?(git|ssh|aws|azure|gcloud|gnupg|kube|docker|terraform|password-store|chef|vault)"
    r"|dot_(ssh|aws|azure|gnupg|kube|docker)"
    r"|.*\.tfstate\.d|xcuserdata"
)
"""Folders of which nothing is read. Without their dot, those that are common words are left alone."""
_COMMON_WORDS = frozenset(("git", "aws", "azure", "gcloud", "kube", "docker", "terraform", "chef", "vault", "ssh"))
_SECRET_FOLDERS = frozenset(("secret", "secrets", "credentials", "private-keys", "private_keys"))
"""In these folders only source files are read: `src/secrets/list.tsx`, but not `secrets/db`."""

_ENDINGS = _set(
    """
    pem key p12 pfx pkcs12 p8 p7b der jks jceks bks keystore truststore ppk pvk asc gpg pgp kdbx kdb agekey age snk
    mobileprovision provisionprofile ovpn keytab htpasswd crt cer
    env envrc tfstate tfvars tfplan publishsettings pubxml rdp tfrc
    histfile rdb dump sqlite sqlite3 db dmp mdb accdb har dotenv token secret credentials
    """
)
_NAMES = _set(
    """
    env envrc netrc npmrc yarnrc yarnrc.yml pypirc pgpass pgpass.conf my.cnf mylogin.cnf boto s3cfg passwd shadow
    gshadow htpasswd htaccess git-credentials gitconfig dockercfg dockerconfigjson docker-config.json auth.json
    nuget.config pip.conf kubeconfig sa.json rootkey.csv token token.json token.txt key key.json key.txt keyfile
    keyfile.json keystore.properties key.properties signing.properties local.properties gradle.properties
    google-services.json
    googleservice-info.plist database.yml database.yaml parameters.yml wp-config.php local_settings.py
    settings_local.py secret.h secring sops.yaml vault-password vault_pass authinfo muttrc msmtprc fetchmailrc wgetrc
    curlrc sendgrid.env lesshst viminfo histfile consolehost_history.txt terraformrc terraform.rc master.key
    known_hosts authorized_keys identity heroku.json doctl.yaml azureprofile.json azureauth.json
    accesstokens.json msal_token_cache.json application_default_credentials.json localsettings.py wallet.dat dotenv
    rclone.conf local.settings.json cookies.txt keys.txt kubelet.conf profiles.yml profiles.yaml
    admin.conf tfplan.out registry-auth.json
    """
)
_EVEN_SOURCE = re.compile(
    r"secrets?(\.(prod|production|live|staging|dev|development|local|private|config|default|env))?\.(?!(tsx|jsx|vue|svelte|astro|html?|css|scss|sass|less|md|mdx|rst|adoc)$)[^.]+"
    r"|arduino_secrets\.h|settings[._]local\.py|id_(rsa|dsa|ecdsa|ed25519).*"
)
"""Names that hold secrets even where their ending says source."""
_PATTERNS = re.compile(
    r"(id_|ssh_host_|.*[-_.]id_)?(rsa|dsa|ecdsa|ed25519)(_sk|_key)?([-_.].*)?"
    r"|.*[-_](rsa|dsa|ecdsa|ed25519)"
    r"|(known_hosts|authorized_keys|secring|pubring)([-_.].*)?"
    r"|(.*[-_.])?(z|ba|k|c|tc|fi)?sh_?history|.*_history|\.?zhistory|.*[-_.]hist"
    r"|.*\.tfstate([-_.].*)?|.*\.tfvars([-_.].*)?|.*\.tfplan([-_.].*)?"
    r"|.*\.(db|sqlite3?)-(wal|shm|journal)|application[-_.](prod|production|live|secrets?)\.(properties|ya?ml)"
    r"|pulumi\..+\.ya?ml|wg\d*\.conf|vault[-_.]?pass.*"
    r"|appsettings\..+\.json|connectionstrings.*\.config"
    r"|(.*[-_.])?(dump|backup|export|snapshot|prod|production|live)([-_.].*)?\.sql"
    r"|_(netrc|pgpass|viminfo)|dot_(env.*|netrc|npmrc|pypirc|pgpass|gitconfig|.*history)"
)
_STAGE = r"(local|dev|development|test|testing|ci|qa|uat|stage|staging|prod|production|live|docker|private|shared)"
_ENVIRONMENTS = re.compile(
    rf"((.*[-_.])?(dot)?env[-_]{_STAGE}|(.*[-_.])?{_STAGE}[-_](dot)?env)(\.(json|ya?ml|toml|ini|conf|properties|sh))?"
    r"|dotenv\..*"
)
_DOWNLOADED_KEYS = re.compile(r"[a-z][a-z0-9-]{4,}-[0-9a-f]{12}\.json|(.*[-_.])?vault\.(ya?ml|json)")
"""Keys of Google's service accounts, as they are called when they are downloaded, and Ansible's vaults."""
_SECRET_WORDS = _set(
    """
    secret secrets credential credentials creds passwords password passwd passphrase pgpass kubeconfig keyring
    """
)
_SECRET_COMPOUNDS = re.compile(
    r"serviceaccount|clientsecret|privatekey|secretkey|accesskey|apikey|signingkey|encryptionkey|sshkey|accesstoken"
    r"|authtoken|refreshtoken|bearertoken|apitoken|bottoken|sessiontoken|firebaseadminsdk|keystorepass|storepass"
    r"|serviceprincipal|dockerconfigjson|recoverycodes?|backupcodes?|(github|gitlab|npm|slack|stripe)tokens"
)
_KEY_WORDS = frozenset(("key", "keyfile", "sa", "token"))
"""The last word of a name that is not source. Tokens in the plural are mostly those of a design."""
_WORDS = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_BACKUP_ENDING = re.compile(
    r"([-_. ]?(bak|backup|old|txt|orig|original|save|saved|sav|swp|swo|swn|tmp|temp|copy|prev|previous|rej|dist"
    r"|disabled|off|example|sample|template|tpl|enc|encrypted|gz|bz2|xz|zst|zip|tar|tgz|7z|rar|lz4)\d*"
    r"|[-_. ]v?\d[\dt:_-]*z?|[-_. ]?\(\d+\)|~|#|[-_. ]+)$"
)
_BACKUP_BEGIN = re.compile(r"^(#|~|copy[-_ ]of[-_ ]|backup[-_ ]of[-_ ]|(old|bak|backup|copy)[-_. ]|\._)")


def is_hidden(path: str) -> bool:
    """Returns whether the file, or a folder on the way to it, is hidden."""
    return path.startswith(".") or "/." in path


@lru_cache(maxsize=50_000)
def is_secret(path: str) -> bool:
    """Returns whether the file of this path, relative to the project's root, is one of those that hold secrets."""
    *folders, name = PurePosixPath(path).parts or ("",)
    if any(_is_secret_folder(folder.lower()) for folder in folders) or _is_secret_name(name):
        return True
    return not _is_source(name.lower()) and any(folder.lower() in _SECRET_FOLDERS for folder in folders)


@lru_cache(maxsize=50_000)
def _is_secret_name(name: str) -> bool:
    # Camel case separates words, so words are split before the name is put into lower case.
    spaced = _CAMEL.sub("-", name).lower()
    return any(
        _is_listed(plain, dashed) for plain, dashed in zip(_originals(name.lower()), _originals(spaced), strict=True)
    )


def _originals(name: str) -> list[str]:
    """Returns the name, and what it may be a backup of; the same number of names for every spelling."""
    names = []
    for _ in range(4):
        names += [name, _BACKUP_BEGIN.sub("", name) or name]
        name = _BACKUP_ENDING.sub("", name) or name
    return names


def _is_listed(name: str, spaced: str) -> bool:
    name = name.removeprefix(".")
    if name in _NAMES or _EVEN_SOURCE.fullmatch(name):
        return True
    if _is_source(name):
        return False
    if any(pattern.fullmatch(name) for pattern in (_PATTERNS, _ENVIRONMENTS, _DOWNLOADED_KEYS)):
        return True
    parts = name.split(".")
    if parts[-1] in _ENDINGS or any(part in ("env", "envrc") for part in parts):
        return True
    words = [word for word in _WORDS.split(spaced) if word]
    stem = words[:-1] if len(parts) > 1 else words
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or _SECRET_COMPOUNDS.search("".join(words)) is not None
        or (bool(stem) and stem[-1] in _KEY_WORDS)
        or name.startswith("env.")
    )


@lru_cache(maxsize=10_000)
def _is_secret_folder(name: str) -> bool:
    return name not in _COMMON_WORDS and _FOLDERS.fullmatch(name) is not None


def _is_source(name: str) -> bool:
    return "." in name and name.rpartition(".")[2] in SOURCE_ENDINGS

"""Hides text that looks like a secret, whatever its value: keys, tokens, passwords in URLs and beside their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

HIDDEN = "***"
"""Replaces a secret."""


def hide_shapes(text: str) -> str:
    """Return a text without what looks like a secret; the names of secrets stay."""
    lowered = text.lower()
    for hints, pattern, replacement in _shapes():
        if any(hint in lowered for hint in hints):
            text = pattern.sub(replacement, text)
    return text


# What follows the name of a secret and is none: a template, a type, a word of a sentence, a column or a function call.
_VISIBLE = (
    r"""(?!["']?\s{0,3}(?:\*\*\*|\{|\[|\$\{|%\(|[A-Za-z_][\w.]{0,60}\(|(?:null|none|true|false|yes|no|string|varchar|text|integer"""
    r"""|int|bigint|boolean|required|missing|invalid|expired|incorrect|wrong|empty|unset|undefined|unknown|not|str"""
    r"""|[A-Za-z_]+\.[A-Za-z_.]+)(?:["'\s,;.)}\]]|$))"""
    # `token: one of them is valid` is a sentence, `token: abc user: x` is not.
    r"""|(?<=:\s)[A-Za-z]+[ \t]+[A-Za-z]+(?![\w]*\s{0,3}[=:]))"""
)
_QUOTED = r"""(?:"(?:[^"\\\n]|\\.){1,2000}"|'(?:[^'\\\n]|\\.|''){1,2000}')"""
_NAME = (
    r"(?:password|passwort|passwd|passphrase|passcode|(?<![a-z])pwd|(?<![a-z])pw|(?<=[_\-.])(?:pass|dsn|sas|creds)|secret"
    r"|(?<!unexpected )token|signature|\bsig|credentials?|(?:api|access|account|private|secret|encryption"
    r"|storage|shared|master|signing)"
    r"[_\- ]?keys?(?:[_\-]?id)?|connection[_\- ]?string)"
)


def _hide_value(found: re.Match[str]) -> str:
    """Return the name of a secret with its value hidden; quotes stay."""
    quote = found[0][-1] if found[0][len(found[1])] in "'\"" else ""
    return f"{found[1]}{quote}{HIDDEN}{quote}"


# Text that looks like a secret: substrings of which it has one, its pattern, and what replaces it (names stay). The
# time is linear: a pattern begins with fixed text or at the start of a word; repetitions are bounded or end the text.
# Compiled when first used: loading the location hides nothing.
@cache
def _shapes() -> tuple[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]:
    return (
        (
            ("-----begin ",),
            re.compile(
                r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
            ),
            HIDDEN,
        ),
        (("://",), re.compile(r"""(://[^\s:/@"'<>]{0,200}):[^\s/"'<>]{1,300}@"""), rf"\1:{HIDDEN}@"),
        (
            (
                "xox",
                "xapp-",
                "ghp_",
                "gho_",
                "ghu_",
                "ghs_",
                "ghr_",
                "github_pat_",
                "glpat-",
                "dapi",
                "dbtc_",
                "dbtu_",
                "sk_live_",
            ),
            re.compile(
                r"(?<![A-Za-z0-9])(xox[a-z]-|xapp-|gh[pousr]_|github_pat_|glpat-|dapi|dbt[cu]_|sk_live_)[A-Za-z0-9_\-]{6,}"
            ),
            rf"\1{HIDDEN}",
        ),
        (
            ("sk-", "npm_", "pypi-", "hvs.", "sg.", "aiza", "ya29."),
            re.compile(r"(?<![A-Za-z0-9])(sk-|npm_|pypi-|hvs\.|SG\.|AIza|ya29\.)(?=\w{0,40}\d)[\w\-.]{20,}"),
            rf"\1{HIDDEN}",
        ),
        (("akia", "asia"), re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}"), rf"\1{HIDDEN}"),
        (("eyj",), re.compile(r"(?<![\w\-.])eyJ[\w\-]{6,}\.[\w\-]{6,}(?:\.[\w\-]*)?"), HIDDEN),
        (
            ("hooks.slack.com", "api/webhooks/", "webhook.office.com"),
            re.compile(
                r"""(hooks\.slack\.com(?:/[a-z\-]+)?|discord(?:app)?\.com/api/webhooks|webhook\.office\.com)/[^\s"'<>]+"""
            ),
            rf"\1/{HIDDEN}",
        ),
        (
            ("bearer", "basic", "token token="),
            re.compile(
                r"\b(Bearer|Basic|Token token=)\s{0,5}(?=[A-Za-z._~+/\-]{0,200}[0-9=])[A-Za-z0-9._~+/=\-]{8,}",
                re.IGNORECASE,
            ),
            rf"\1 {HIDDEN}",
        ),
        (
            ("pass", "pwd", "pw", "secret", "token", "key", "sig", "cred", "dsn", "sas", "connection"),
            # Narrower than `is_secret_name`: `KeyError: 'id'` or `primary key: id` is no secret.
            re.compile(
                rf"""({_NAME}(?:[_\-]?\d{{1,3}})?["'`\])]{{0,2}}\s{{0,5}}(?:=>|:=|(?<!:):(?!:)|==?)\s{{0,5}}\(?){_VISIBLE}"""
                rf"""(?:{_QUOTED}|[^\s,;&)}}'"\]]{{1,2000}})""",
                re.IGNORECASE,
            ),
            _hide_value,
        ),
        (
            ("pass", "secret", "token", "key"),
            re.compile(
                rf"(\b{_NAME}\s{{1,3}}is\s{{1,3}})(?:{_QUOTED}|(?=[^\s\d]{{0,80}}\d)\S{{4,2000}})", re.IGNORECASE
            ),
            _hide_value,
        ),
        (
            ("pass", "secret", "token", "key", "identified", "credentials", "string"),
            # SQL: `create secret (secret '…')`, `create user a password '…'`. `unexpected token 'x'` is no secret.
            re.compile(
                r"((?:(?:(?<![\w ])|(?<![a-z] ))token|\b(?:secret|password|passphrase|credentials|connection_string"
                r"|identified\s{1,3}by(?:\s{1,3}password)?|(?:session|access|auth|bearer|refresh|motherduck|oauth)_token"
                r"|client_secret|(?:access_)?key_id|(?:api|access|account|private|secret|encryption)_key))\s{1,3})"
                r"'(?:[^'\\\n]|\\.|''){1,2000}'",
                re.IGNORECASE,
            ),
            _hide_value,
        ),
    )

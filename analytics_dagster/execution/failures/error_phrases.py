"""The phrases of engines, drivers, Dagster and Kubernetes in errors that have no code, and the kind of failure of each.

A phrase has several words, or is a name that nobody gives to a column: a single word such as `timeout` may be one.
"""

from __future__ import annotations

import re

from analytics_dagster.execution.failures.failure_kind import FailureKind

K = FailureKind

Phrases = tuple[tuple[FailureKind, re.Pattern[str]], ...]


def permanent_kind(words: str) -> FailureKind | None:
    """Return the kind of a permanent error by its phrases, given its text without quoted names and values."""
    return _first(_PERMANENT, words)


def transient_kind(words: str) -> FailureKind | None:
    """Return the kind of a transient error by its phrases, given its text without quoted names and values."""
    return _first(_TRANSIENT, words)


def _first(phrases: Phrases, words: str) -> FailureKind | None:
    return next((kind for kind, pattern in phrases if pattern.search(words)), None)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), flags=re.IGNORECASE | re.MULTILINE)


_OBJECT = (
    r"\b(?:relation|column|table|view|schema|function|procedure|routine|type|role|database|catalog|operator|sequence"
    r"|constraint|index|cursor|extension|dataset|field|identifier|object|attribute|partition|stage|warehouse|namespace"
    r"|dictionary|variable|parameter|collation|model|alias|secret|setting|struct|savepoint|trigger)s?\b"
)
_ABSENT = (
    r"(?:does not exist|doesn't exist|do not exist|already exists?|(?:was )?not found|is not defined|is ambiguous"
    r"|(?:cannot|could not|can't) be (?:found|resolved|null)|must be declared|is not (?:a )?(?:recognized|valid"
    r"|supported)"
    r"|not recognized|is (?:unknown|missing)|of type \S+ but expression is)"
)

# The first match wins. Permanent errors may contain the words of transient ones as names.
_PERMANENT: Phrases = (
    # The table was dropped or replaced by another transaction: Redshift and PostgreSQL.
    (
        K.LOCK,
        _any_of(
            r"relation with OID",
            r"(?:dropped|updated|deleted) by (?:a )?concurrent (?:transaction|ddl)",
        ),
    ),
    (
        K.PERMISSION,
        _any_of(
            r"permission (?:was )?denied",
            r"\baccess (?:is )?denied\b",
            r"\bnot authorized to (?:perform|access|assume|use)",
            r"insufficient (?:privilege|permission|access)",
            r"must be (?:the )?owner of|is not (?:the )?owner of",
            r"\b(?:authentication|login) (?:failed|denied)|authentication (?:unsuccessful|error)\b",
            r"invalid (?:credentials|access token|username|api key|token|grant)|JWT token is invalid",
            r"access key id you provided|signature we calculated|unable to locate credentials|no credentials",
            r"(?:does|do) not have .{0,60}\b(?:permission|privilege|access)",
            r"lacks? .{0,40}(?:permission|privilege)",
            r"requires? .{0,60}\b(?:permission|privilege)\b|\b(?:403 forbidden|401 unauthorized)\b",
            r"user is not authorized|not (?:allowed|permitted) to (?:access|create|read|write)",
        ),
    ),
    (
        K.DISK_FULL,
        _any_of(
            r"no space left on device",
            r"\bdisk (?:is )?full\b",
            r"disk quota exceeded|max_temp_directory_size|the table\b.{0,80}\bis full|filegroup is full",
            r"transaction log .{0,80}full",
            r"not enough (?:disk )?space|could not write .{0,80}no space",
        ),
    ),
    # A bucket of the landing zone or the reports, which a setting names.
    (
        K.CODE,
        _any_of(
            r"NoSuchBucket|\b(?:bucket|container) does not exist",
            r"same database file with a different configuration",
        ),
    ),
    (
        K.SQL,
        _any_of(
            rf"{_OBJECT}[^\n]{{0,200}}?\b{_ABSENT}",
            rf"\b(?:no such|unknown|unrecognized|undefined|ambiguous|missing|duplicate|invalid) (?:sql )?{_OBJECT}",
            r"\bnot found: (?:table|dataset|view|model|function|routine|project|column|field)",
            r"\bnot found in (?:FROM|any|table|schema|the)\b|\bname\b.{1,200} not found inside",
            r"(?:table|column|function) not found",
            r"\bsyntax error\b|\bparse error\b|incorrect syntax|error in your SQL syntax|mismatched input",
            r"extraneous input|no viable alternative",
            r"unexpected (?:keyword|identifier|token|symbol|string|end of (?:input|script|statement))",
            r"SQL compilation error|\bunrecognized name|\bunknown (?:expression|data type|name|user)",
            r"\binvalid (?:input|byte sequence|value|cast|date|time|timestamp|number|numeric|length|use of"
            r"|reference|regexp|json|escape|literal|digit)",
            r"\bbad \w+ value",
            r"\bcannot (?:be )?(?:cast|convert(?:ed)?|coerce|insert|drop|alter|implicitly|parse|mix|compare|assign"
            r"|query over)\b",
            r"\bcannot resolve\b.{0,200}?(?:given input columns|due to|column|name|function)|given input columns",
            r"\bno (?:matching (?:signature|function|operator)|function matches|operator matches)",
            r"\bcould not (?:choose|determine|convert|identify|parse|cast|find (?:a )?(?:function|column|operator"
            r"|type))",
            r"\bviolat(?:es|ion|ed)\b.{0,60}\bconstraint|constraint .{0,80}(?:violat|failed)",
            r"\bduplicate (?:key|entry|row|value|alias)",
            r"null value in column|\bcannot be null\b|NULL result in a non-nullable|not-null constraint",
            r"\bout of range\b|\btoo (?:long|large|big|small) for\b|would be truncated|data truncated",
            r"(?:numeric|integer|arithmetic|decimal|date|timestamp)\b.{0,20}\boverflow",
            r"\bis outside (?:of )?the range",
            r"\b(?:division|divide|divided) by zero\b|divisor is equal to zero",
            r"must appear in the GROUP BY|not an aggregate|aggregate function|neither grouped nor aggregated",
            r"in the GROUP BY clause",
            r"\bnumber of columns\b|same number of columns|\btypes? (?:mismatch|cannot be matched)",
            r"incompatible types|mismatched types",
            r"more than one row|at most one (?:source )?row|multiple source rows|duplicate row detected",
            r"failed to (?:parse|cast)|error parsing|malformed|\bunsupported\b|\bnot (?:implemented|supported)\b",
            r"cannot be resolved",
            r"no files found that match|is of type .{0,60} but expression",
        ),
    ),
)

_TRANSIENT: Phrases = (
    (
        K.KILLED,
        _any_of(
            r"\bthe run was cut off\b|execution was interrupted unexpectedly",
            r"\bOOMKilled\b|\b(?:terminated|killed) by (?:signal|the (?:operating system|kernel|oom))",
            r"\bSIG(?:KILL|TERM)\b",
            r"\bexit code (?:137|143)\b|driver has stopped unexpectedly",
            r"\b(?:pod|node|container|instance|worker|machine|task|job|vm)\b.{0,60}\b(?:evicted|preempted)\b",
            r"\bwas (?:evicted|preempted)\b|\bpreemption\b",
            r"\bnode ?(?:lost|shutdown|was (?:low on|terminated))",
            r"run worker (?:failed|has crashed|status)|detected run worker",
            r"failed to start within|exceeding the (?:start|startup) timeout",
            r"ExecutorLostFailure|executor lost|worker was lost|container killed by",
            r"spot (?:instance )?(?:interruption|terminat)",
        ),
    ),
    (
        K.LOCK,
        _any_of(
            r"could not set lock on file|conflicting lock is held|the warehouse .* is held by",
            r"deadlock (?:detected|found)|was deadlocked|deadlock victim",
            r"due to lock timeout|could not obtain lock|lock not available|lock wait timeout exceeded",
            r"lock request time out|(?:unable|failed|could not|cannot) (?:to )?(?:acquire|get) .{0,40}lock",
            r"lock timeout exceeded",
            r"could not serialize|serializable isolation violation|(?:serialization|update) (?:failure|conflict)",
            r"write-write conflict|conflict on (?:tuple|update)|transaction conflict",
            r"conflicts? with (?:another|a) (?:concurrent )?transaction|conflict with concurrent",
            r"conflict with recovery",
            r"has locked (?:table|partition)|waiters for this lock exceeds|(?:table|database) is locked",
            r"concurrent (?:update|append|write|transaction|modification|delete|insert|dml|ddl|operation)s?\b",
            r"Concurrent(?:Append|Delete\w*|Transaction|Write|Modification)Exception|ProtocolChangedException",
            r"DELTA_CONCURRENT_\w+|tuple concurrently (?:updated|deleted)|concurrently (?:modified|changed)",
            r"failed to commit iceberg",
            r"(?:changed|modified|updated) by another (?:process|transaction|query|user|writer)",
            r"resource busy and acquire",
        ),
    ),
    (
        K.THROTTLING,
        _any_of(
            r"\brate ?limit(?:s|ed|ing)?\b.{0,30}\b(?:exceeded|reached|hit)",
            r"exceeded (?:the )?(?:api )?rate limit|rateLimitExceeded|\brate exceeded\b|request rate",
            r"\btoo many (?:requests|clients|connections|concurrent|simultaneous|queued|queries|running|parts)\b",
            r"\bquota ?exceeded|exceeded (?:your |the )?quota|quotaExceeded",
            r"remaining connection slots|connection limit exceeded|TooManyConnections|max_user_connections",
            r"REQUEST_LIMIT_EXCEEDED|TEMPORARILY_UNAVAILABLE|\bThrottl(?:ed|ing)Exception\b",
            r"\b(?:was|were|been|being|is) throttled|request throttled|\bSlowDown\b|\bslow down\b",
            r"server is (?:too )?(?:busy|overloaded)|temporarily overloaded|request limit .{0,60}reached",
            r"(?:maximum|limit) (?:number )?of (?:\S+ )?(?:concurrent|queued|running|active|simultaneous)",
            r"(?:concurrency|concurrent \w+) limit (?:exceeded|reached)|RESOURCE_EXHAUSTED",
        ),
    ),
    (
        K.OUT_OF_MEMORY,
        _any_of(
            r"out of (?:shared )?memory|\bOutOfMemory(?:Error|Exception)\b|java heap space|GC overhead limit",
            r"could not allocate block|failed to (?:allocate|pin) (?:data|block|memory)",
            r"cannot allocate memory|memory (?:was )?exhausted|(?:insufficient|not enough) (?:system )?memory",
            r"memory limit (?:\([^)]*\) )?exceeded|exceed(?:s|ed|ing)\b.{0,40}\bmemory limit",
            r"memory limit .{0,40}exceeded",
            r"resources exceeded during query execution|could not be executed in the allotted memory",
            r"exhausted resources",
        ),
    ),
    (
        K.TIMEOUT,
        _any_of(
            r"\b(?:statement|query|execution|read|write|connect|connection|socket|login|request|operation|gateway"
            r"|network|server|job|response) time[- ]?out\b",
            r"\bgateway time-out",
            r"\btime-?out (?:expired|exceeded|reached|was reached|error|occurred|of \d|after|while|waiting)",
            r"canceling statement due to|cancelled on user's request",
            r"reached its (?:statement or )?warehouse timeout|statement reached its",
            r"\btimed[ -]out\b|deadline (?:was )?exceeded|DEADLINE_EXCEEDED",
            r"did not complete within the (?:designated|allotted)",
            r"exceed(?:ed|s|ing) (?:the )?max(?:imum)? ?(?:run|execution|time|query)",
            r"maximum (?:statement )?(?:execution|run) ?time|exceeded the (?:time limit|maximum)",
        ),
    ),
    (
        K.CONNECTION,
        _any_of(
            r"\bconnection\b(?: to .{1,120}?)? (?:was |has been |is |unexpectedly |got |forcibly )*(?:lost|closed"
            r"|reset|refused|aborted|broken|dropped|killed|terminated|failed: (?:connection|could|FATAL|timeout"
            r"|no route))",
            r"\b(?:lost|lose|closed the|closed|no) connection\b",
            r"connection (?:error|failure|attempt failed|already closed)",
            r"(?:could not|couldn't|cannot|can't|unable to|failed to) (?:re)?connect\b",
            r"(?:could not|couldn't|cannot|can't|unable to|failed to) (?:establish|open) (?:a |the "
            r"|an )?(?:new )?(?:\w+ )?connection",
            r"(?:could not|cannot|unable to|failed to) (?:resolve (?:the )?(?:host|address|dns|server|name:)"
            r"|reach (?:the )?(?:server|host|database|endpoint|cluster)|translate host|communicate|(?:receive"
            r"|send) (?:data|query|request))",
            r"communication (?:link )?(?:failure|error)|failed communicating|server has gone away|TCP Provider",
            r"SSL (?:connection|SYSCALL|error)|\[SSL: |cluster \S{1,80} is terminat|is the server running"
            r"|error during request to server",
            r"connection not available|terminating connection|unexpected EOF|EOF (?:detected|occurred)",
            r"end of file on communication",
            r"(?:database system|server|cluster|warehouse|endpoint|database|coordinator) is (?:starting|restarting"
            r"|resuming|shutting|initializing|in recovery|not currently available|not yet accepting"
            r"|currently unavailable|paused|unavailable|down\b)",
            r"broken pipe|network is unreachable|no route to host|host is down",
            r"name (?:or service not known|resolution)",
            r"nodename nor servname|getaddrinfo failed|unknown (?:mysql server )?host|no such host",
            r"could not find host",
            r"max retries exceeded with url|read 0 bytes|socket hang up|RST_STREAM|GOAWAY",
            r"\b(?:bad gateway|service (?:is )?(?:temporarily )?unavailable|backend ?error|internalError)\b",
            r"temporarily unavailable",
            r"an internal error occurred and the request could not|encountered an internal error",
            r"internal server error|HTTP 500\b|retrying (?:the job |your query )?may solve",
            r"(?:try|retry)(?: again)? (?:later|the connection)|retry your (?:query|request)",
            r"authentication token has expired|session (?:no longer exists|has expired|expired|not found|handle)",
            r"Invalid SessionHandle",
            r"no (?:worker )?nodes (?:are )?available|too many errors talking to a worker",
            r"worker node .{0,40}(?:gone|lost)",
        ),
    ),
)

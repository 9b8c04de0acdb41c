"""The numbers of errors of Snowflake, MySQL, SQL Server, Oracle and ClickHouse, and the kind of failure of each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from analytics_dagster.execution.failures.failure_kind import FailureKind

K = FailureKind


def table(*rows: tuple[FailureKind, str]) -> Mapping[str, FailureKind]:
    """Return the kind of each code, given the codes of each kind in one text."""
    return {code: kind for kind, codes in rows for code in codes.split()}


# Each engine's own numbers, where it writes them. A number that is not listed says nothing.
NUMBERS: tuple[tuple[re.Pattern[str], Mapping[str, FailureKind]], ...] = (
    (
        # Snowflake: `000625 (57014): …`
        re.compile(r"^[^\w\n]{0,20}(?:[\w.]+: )?(\d{6}) \([0-9A-Z]{5}\)", re.MULTILINE),
        table(
            (K.LOCK, "000625"),
            (K.TIMEOUT, "000630"),
            (K.CODE, "000606"),
            (K.PERMISSION, "003001 003013 390100 390144 390201 390422 250006"),
            (K.CONNECTION, "250001 250003 251001 390111 390112 390114 390115 390195 000403 000603"),
        ),
    ),
    (
        # MySQL: `1205 (HY000): …` or `(1205, '…')`.
        re.compile(
            r"^[^\w\n]{0,20}(?:[\w.]+: )?(?:\((?=\d{4}, ['\"])|(?=\d{4} \([0-9A-Z]{5}\)))(\d{4})\b", re.MULTILINE
        ),
        table(
            (K.LOCK, "1205 1213 3572"),
            (K.THROTTLING, "1040 1203 1226"),
            (K.CONNECTION, "1053 1152 1158 1159 1160 1161 1184 2002 2003 2005 2006 2012 2013 2026 2055 4031"),
            (K.TIMEOUT, "1969 3024"),
            (K.OUT_OF_MEMORY, "1037 1038 1041"),
            (K.DISK_FULL, "1021 1114"),
            (K.PERMISSION, "1044 1045 1142 1143 1227 1370 1698"),
        ),
    ),
    (
        # SQL Server: `… (1205) (SQLExecDirectW)`.
        re.compile(r"\((-?\d{1,5})\) \(SQL\w+\)"),
        table(
            (K.LOCK, "1204 1205 1222 3960 3961"),
            (K.THROTTLING, "10922 10928 10929 10936 40501 40544 49918 49919 49920"),
            (K.CONNECTION, "64 121 232 233 10053 10054 10060 10061 11001 26023 40143 40166 40197 40540 40613"),
            (K.CONNECTION, "42108 42109"),
            (K.OUT_OF_MEMORY, "701 802 8645"),
            (K.DISK_FULL, "1101 1105 9002"),
            (K.PERMISSION, "229 230 262 297 300 916 4060 18452 18456"),
        ),
    ),
    (
        # Oracle: `ORA-00060: …`
        re.compile(r"\b((?:ORA|DPY)-\d{4,5}):"),
        table(
            (K.LOCK, "ORA-00054 ORA-00060 ORA-04020 ORA-04021 ORA-08177 ORA-01555"),
            (K.CONNECTION, "ORA-01033 ORA-01034 ORA-01089 ORA-03113 ORA-03114 ORA-03135 ORA-12514 ORA-12528"),
            (K.CONNECTION, "ORA-12537 ORA-12541 ORA-12543 ORA-12545 ORA-12547 ORA-12571 DPY-1001 DPY-4011"),
            (K.CONNECTION, "DPY-6005"),
            (K.TIMEOUT, "ORA-00040 ORA-01013 ORA-12170 ORA-12535"),
            (K.THROTTLING, "ORA-00018 ORA-00020 ORA-12516 ORA-12519 ORA-12520"),
            (K.OUT_OF_MEMORY, "ORA-04030 ORA-04031 ORA-04036"),
            (K.DISK_FULL, "ORA-01652 ORA-01653 ORA-01654 ORA-01688"),
            (K.PERMISSION, "ORA-01017 ORA-01031 ORA-28000 ORA-28001"),
        ),
    ),
    (
        # ClickHouse: `Code: 241. DB::Exception: …`; newer versions also write the name.
        re.compile(r"\bCode: (\d{1,4})\.?\s+DB::\w*Exception"),
        table(
            (K.TIMEOUT, "159 160 209"),
            (K.CONNECTION, "32 210 242 279 319 999 1000"),
            (K.OUT_OF_MEMORY, "173 241"),
            (K.THROTTLING, "202 203 252"),
            (K.DISK_FULL, "243"),
            (K.LOCK, "473"),
            (K.PERMISSION, "497 516"),
            (K.SQL, "6 10 16 27 36 38 41 42 43 44 46 47 48 53 57 60 62 63 69 70 81 153 179 184 207 215 386"),
            (K.SQL, "407"),
        ),
    ),
)

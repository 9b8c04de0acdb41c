{{/* What the schema can't say of values that are right each, in words that say what to do. */}}
{{- define "analytics-dagster.validate" -}}
{{- $problems := list -}}
{{- $postgresql := .Values.postgresql -}}
{{- $s3 := .Values.s3 -}}
{{- $made := .Values.generatedSecrets.enabled -}}
{{- if and (not $postgresql.enabled) (not $postgresql.postgresqlHost) -}}
{{- $problems = append $problems "postgresql.postgresqlHost: without the bundled server (postgresql.enabled: false) name yours" -}}
{{- end -}}
{{- if and (not $postgresql.existingSecret) (not (and $postgresql.enabled $made)) -}}
{{- $problems = append $problems "postgresql.existingSecret: name the Secret with the password; it is made for the bundled server alone, by generatedSecrets" -}}
{{- end -}}
{{- if and (eq $s3.authentication "keys") (not $s3.existingSecret) (not (and $s3.enabled $made)) -}}
{{- $problems = append $problems "s3.existingSecret: name the Secret with the keys, or set s3.authentication: workloadIdentity; it is made for the bundled server alone, by generatedSecrets" -}}
{{- end -}}
{{- if and (include "analytics-dagster.generatedKeys" .) (not .Values.rbacEnabled) -}}
{{- $problems = append $problems "generatedSecrets: the Job that makes passwords needs rights (rbacEnabled); name the Secrets otherwise, and turn it off" -}}
{{- end -}}
{{- if and $s3.enabled (ne $s3.authentication "keys") -}}
{{- $problems = append $problems "s3.authentication: the bundled server knows keys alone" -}}
{{- end -}}
{{- if and (eq .Values.warehouse.type "profile") (not .Values.warehouse.profile.existingSecret) -}}
{{- $problems = append $problems "warehouse.profile.existingSecret: name the Secret with your profiles.yml" -}}
{{- end -}}
{{- with .Values.warehouse.postgresql -}}
{{- if and (eq $.Values.warehouse.type "postgresql") .host (not (and .username .existingSecret)) -}}
{{- $problems = append $problems "warehouse.postgresql: a host of your own needs username and existingSecret too" -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range include "analytics-dagster.locations" . | fromJsonArray -}}
{{- if has .name $names -}}
{{- $problems = append $problems (printf "dagster-user-deployments.deployments: more than one is named %s" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if and .Values.tests.location (not (has .Values.tests.location $names)) -}}
{{- $problems = append $problems (printf "tests.location: %s is none of the code locations (%s)" .Values.tests.location (join ", " $names)) -}}
{{- end -}}
{{- range $name := keys .Values.analytics.settings | sortAlpha -}}
{{- if regexMatch "(?i)(pass|secret|token|key|credential)" $name -}}
{{- $problems = append $problems (printf "analytics.settings.%s: this sounds like a secret; keep it in a Secret, and name that by the deployment's envSecrets, which its runs get too (and by alertsWatch.existingSecret, for a channel)" $name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.alertsWatch -}}
{{- if and .enabled (not .existingSecret) (not .env) -}}
{{- $problems = append $problems "alertsWatch.existingSecret: name the Secret with the variables of a channel (ANALYTICS_SLACK_TOKEN, …); nobody would hear of it" -}}
{{- end -}}
{{- end -}}
{{- with .Values.dagsterWebserver.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $problems = append $problems "dagsterWebserver.autoscaling: minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- with .Values.ingress -}}
{{- range $what := list "dagsterWebserver" "readOnlyDagsterWebserver" -}}
{{- $host := index $.Values.ingress $what -}}
{{- if and $.Values.ingress.enabled $host.tls.enabled (not $host.host) -}}
{{- $problems = append $problems (printf "ingress.%s.host: TLS needs a host" $what) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nThese values do not fit together:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}

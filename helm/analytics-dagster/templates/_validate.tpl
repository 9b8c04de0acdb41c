{{/* Rules between values, which the schema cannot express. Each message states the remedy. */}}
{{- define "analytics-dagster.validate" -}}
{{- $problems := list -}}
{{- $postgresql := .Values.postgresql -}}
{{- $s3 := .Values.s3 -}}
{{- $made := .Values.generatedSecrets.enabled -}}
{{- if and (not $postgresql.enabled) (not $postgresql.postgresqlHost) -}}
{{- $problems = append $problems "postgresql.postgresqlHost: name your server, because the bundled one is off (postgresql.enabled: false)" -}}
{{- end -}}
{{- if and (not $postgresql.existingSecret) (not (and $postgresql.enabled $made)) -}}
{{- $problems = append $problems "postgresql.existingSecret: name the Secret with the password; generatedSecrets generates one only for the bundled server" -}}
{{- end -}}
{{- if and (eq $s3.authentication "keys") (not $s3.existingSecret) (not (and $s3.enabled $made)) -}}
{{- $problems = append $problems "s3.existingSecret: name the Secret with the keys, or set s3.authentication: workloadIdentity; generatedSecrets generates keys only for the bundled server" -}}
{{- end -}}
{{- if and (include "analytics-dagster.generatedKeys" .) (not .Values.rbacEnabled) -}}
{{- $problems = append $problems "generatedSecrets: the Job that generates passwords needs permissions: set rbacEnabled, or name the Secrets and set generatedSecrets.enabled: false" -}}
{{- end -}}
{{- if and $s3.enabled (ne $s3.authentication "keys") -}}
{{- $problems = append $problems "s3.authentication: the bundled server supports only keys" -}}
{{- end -}}
{{- if and (eq .Values.warehouse.type "profile") (not .Values.warehouse.profile.existingSecret) -}}
{{- $problems = append $problems "warehouse.profile.existingSecret: name the Secret with your profiles.yml" -}}
{{- end -}}
{{- with .Values.warehouse.postgresql -}}
{{- if and (eq $.Values.warehouse.type "postgresql") .host (not (and .username .existingSecret)) -}}
{{- $problems = append $problems "warehouse.postgresql: your own host also needs username and existingSecret" -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range include "analytics-dagster.locations" . | fromJsonArray -}}
{{- if has .name $names -}}
{{- $problems = append $problems (printf "dagster-user-deployments.deployments: more than one has the name %s" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if and .Values.tests.location (not (has .Values.tests.location $names)) -}}
{{- $problems = append $problems (printf "tests.location: %s is not a code location (%s)" .Values.tests.location (join ", " $names)) -}}
{{- end -}}
{{- range $name := keys .Values.analytics.settings | sortAlpha -}}
{{- if regexMatch "(?i)(pass|secret|token|key|credential)" $name -}}
{{- $problems = append $problems (printf "analytics.settings.%s: the name suggests a secret; put it into a Secret, and name that in envSecrets of the deployment, which also applies to its runs (and in alertsWatch.existingSecret, for an alert channel)" $name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.alertsWatch -}}
{{- if and .enabled (not .existingSecret) (not .env) -}}
{{- $problems = append $problems "alertsWatch.existingSecret: name the Secret with the variables of an alert channel (ANALYTICS_SLACK_TOKEN, …); without a channel, nobody is alerted" -}}
{{- end -}}
{{- end -}}
{{- with .Values.dagsterWebserver.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $problems = append $problems "dagsterWebserver.autoscaling: minReplicas is greater than maxReplicas" -}}
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
{{- fail (printf "\n\nThese values contradict each other:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}

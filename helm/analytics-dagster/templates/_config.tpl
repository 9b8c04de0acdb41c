{{/* Code locations, secrets and environment variables, derived from the values. */}}

{{/* The code locations as JSON, each with all keys: Helm does not merge defaults into list items. */}}
{{- define "analytics-dagster.locations" -}}
{{- $locations := list -}}
{{- $deployments := index .Values "dagster-user-deployments" -}}
{{- if $deployments.enabled -}}
{{- range $deployments.deployments -}}
{{- $defaults := $.Files.Get "files/deployment-defaults.yaml" | fromYaml -}}
{{- $locations = append $locations (mergeOverwrite $defaults .) -}}
{{- end -}}
{{- end -}}
{{- toJson $locations -}}
{{- end -}}

{{/* The Secret that the chart generates for passwords without a Secret in the values. */}}
{{- define "analytics-dagster.generatedSecret" -}}
{{- include "analytics-dagster.objectName" (list . "generated") -}}
{{- end -}}

{{/* The keys of that Secret, comma-separated; empty if nothing is generated. */}}
{{- define "analytics-dagster.generatedKeys" -}}
{{- $keys := list -}}
{{- if and .Values.postgresql.enabled (not .Values.postgresql.existingSecret) -}}
{{- $keys = append $keys .Values.postgresql.existingSecretPasswordKey -}}
{{- end -}}
{{- if and .Values.s3.enabled (not .Values.s3.existingSecret) -}}
{{- $keys = concat $keys (list .Values.s3.accessKeyIdKey .Values.s3.secretAccessKeyKey) -}}
{{- end -}}
{{- if .Values.generatedSecrets.enabled -}}
{{- join "," $keys -}}
{{- end -}}
{{- end -}}

{{- define "analytics-dagster.postgresqlHost" -}}
{{- if .Values.postgresql.enabled -}}
{{- include "analytics-dagster.objectName" (list . "postgresql") -}}
{{- else -}}
{{- .Values.postgresql.postgresqlHost -}}
{{- end -}}
{{- end -}}

{{- define "analytics-dagster.postgresqlSecret" -}}
{{- default (include "analytics-dagster.generatedSecret" .) .Values.postgresql.existingSecret -}}
{{- end -}}

{{- define "analytics-dagster.s3Secret" -}}
{{- default (include "analytics-dagster.generatedSecret" .) .Values.s3.existingSecret -}}
{{- end -}}

{{- define "analytics-dagster.s3Endpoint" -}}
{{- if .Values.s3.enabled -}}
{{- printf "http://%s:%d" (include "analytics-dagster.objectName" (list . "s3")) (int .Values.s3.service.port) -}}
{{- else -}}
{{- .Values.s3.endpointUrl -}}
{{- end -}}
{{- end -}}

{{/* One environment variable from a Secret. (dict "name" "secret" "key") */}}
{{- define "analytics-dagster.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{/* The environment for access to Dagster's storage. */}}
{{- define "analytics-dagster.storageEnv" -}}
{{ include "analytics-dagster.secretVariable" (dict "name" "DAGSTER_PG_PASSWORD" "secret" (include "analytics-dagster.postgresqlSecret" .) "key" .Values.postgresql.existingSecretPasswordKey) }}
{{- end -}}

{{- define "analytics-dagster.s3Keys" -}}
{{ include "analytics-dagster.secretVariable" (dict "name" "AWS_ACCESS_KEY_ID" "secret" (include "analytics-dagster.s3Secret" .) "key" .Values.s3.accessKeyIdKey) }}
{{ include "analytics-dagster.secretVariable" (dict "name" "AWS_SECRET_ACCESS_KEY" "secret" (include "analytics-dagster.s3Secret" .) "key" .Values.s3.secretAccessKeyKey) }}
{{- end -}}

{{/* The environment for access to S3. The endpoint variable is that of S3 only: workload identities use other endpoints. */}}
{{- define "analytics-dagster.s3Env" -}}
- name: AWS_REGION
  value: {{ .Values.s3.region }}
- name: AWS_DEFAULT_REGION
  value: {{ .Values.s3.region }}
{{- with include "analytics-dagster.s3Endpoint" . }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . }}
{{- end }}
{{- if eq .Values.s3.authentication "keys" }}
{{ include "analytics-dagster.s3Keys" . }}
{{- end }}
{{- end -}}

{{/* The address of the UI, for links in messages. */}}
{{- define "analytics-dagster.webserverUrl" -}}
{{- $host := .Values.ingress.dagsterWebserver -}}
{{- if .Values.analytics.webserverUrl -}}
{{- .Values.analytics.webserverUrl -}}
{{- else if and .Values.ingress.enabled $host.host -}}
{{- printf "%s://%s%s" (ternary "https" "http" $host.tls.enabled) $host.host .Values.dagsterWebserver.pathPrefix -}}
{{- end -}}
{{- end -}}

{{/* The settings of the code: all variables of the package that the values set. */}}
{{- define "analytics-dagster.settings" -}}
{{- $bucket := printf "s3://%s" .Values.s3.bucket -}}
ANALYTICS_ENVIRONMENT: {{ .Values.analytics.environment }}
ANALYTICS_TIME_ZONE: {{ .Values.analytics.timeZone }}
ANALYTICS_LANDING_URL: {{ default (printf "%s/landing" $bucket) .Values.analytics.landingUrl }}
ANALYTICS_OUTBOUND_URL: {{ default (printf "%s/outbound" $bucket) .Values.analytics.outboundUrl }}
ANALYTICS_REPORTS_URL: {{ default (printf "%s/reports" $bucket) .Values.analytics.reportsUrl }}
{{- with .Values.analytics.reportsWebUrl }}
ANALYTICS_REPORTS_WEB_URL: {{ . }}
{{- end }}
ANALYTICS_DBT_TARGET: {{ .Values.warehouse.target }}
{{- with include "analytics-dagster.webserverUrl" . }}
ANALYTICS_WEBSERVER_URL: {{ . }}
{{- end }}
{{- with .Values.warehouse.writers }}
ANALYTICS_WAREHOUSE_WRITERS: {{ . | toString | quote }}
{{- end }}
{{- if .Values.analytics.scheduleGroups }}
ANALYTICS_SCHEDULE_GROUPS_FILE: /etc/analytics-dagster/schedule_groups.yaml
{{- end }}
{{- if .Values.analytics.alertRoutes }}
ANALYTICS_ALERTS_FILE: /etc/analytics-dagster-alerts/alerts.yaml
{{- end }}
{{- if eq .Values.warehouse.type "profile" }}
ANALYTICS_DBT_PROFILES_DIR: /secrets
{{- else }}
{{- with .Values.warehouse.postgresql }}
ANALYTICS_POSTGRES_HOST: {{ default (include "analytics-dagster.postgresqlHost" $) .host }}
ANALYTICS_POSTGRES_PORT: {{ ternary .port $.Values.postgresql.service.port (ne .host "") | int | toString | quote }}
ANALYTICS_POSTGRES_USER: {{ default $.Values.postgresql.postgresqlUsername .username }}
ANALYTICS_POSTGRES_DBNAME: {{ .database }}
ANALYTICS_POSTGRES_SCHEMA: {{ .schema }}
ANALYTICS_POSTGRES_THREADS: {{ .threads | int | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The environment of code locations and runs. */}}
{{- define "analytics-dagster.codeEnv" -}}
{{- $own := .Values.analytics.settings -}}
{{ include "analytics-dagster.storageEnv" . }}
{{ include "analytics-dagster.s3Env" . }}
{{- range $name, $value := mergeOverwrite (include "analytics-dagster.settings" . | fromYaml) $own }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- if eq .Values.warehouse.type "postgresql" }}
{{- with .Values.warehouse.postgresql }}
{{- $secret := ternary (list .existingSecret .existingSecretPasswordKey) (list (include "analytics-dagster.postgresqlSecret" $) $.Values.postgresql.existingSecretPasswordKey) (ne .existingSecret "") }}
{{ include "analytics-dagster.secretVariable" (dict "name" "ANALYTICS_POSTGRES_PASSWORD" "secret" (index $secret 0) "key" (index $secret 1)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The volumes of code locations and runs; the root file system is read-only. */}}
{{- define "analytics-dagster.codeVolumes" -}}
- name: tmp
  emptyDir: {}
{{- if eq .Values.warehouse.type "profile" }}
- name: dbt-profile
  secret:
    secretName: {{ .Values.warehouse.profile.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .Values.warehouse.profile.existingSecretKey }}
        path: profiles.yml
{{- end }}
{{- if .Values.analytics.scheduleGroups }}
- name: schedule-groups
  configMap:
    name: {{ include "analytics-dagster.objectName" (list . "schedule-groups") }}
{{- end }}
{{- include "analytics-dagster.alertRoutesVolume" . }}
{{- end -}}

{{- define "analytics-dagster.alertRoutesVolume" -}}
{{- if .Values.analytics.alertRoutes }}
- name: alert-routes
  configMap:
    name: {{ include "analytics-dagster.objectName" (list . "alert-routes") }}
{{- end }}
{{- end -}}

{{- define "analytics-dagster.alertRoutesMount" -}}
{{- if .Values.analytics.alertRoutes }}
- name: alert-routes
  mountPath: /etc/analytics-dagster-alerts
  readOnly: true
{{- end }}
{{- end -}}

{{- define "analytics-dagster.codeVolumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if eq .Values.warehouse.type "profile" }}
- name: dbt-profile
  mountPath: /secrets
  readOnly: true
{{- end }}
{{- if .Values.analytics.scheduleGroups }}
- name: schedule-groups
  mountPath: /etc/analytics-dagster
  readOnly: true
{{- end }}
{{- include "analytics-dagster.alertRoutesMount" . }}
{{- end -}}

{{/* dagster.yaml. It contains names of environment variables instead of secrets. */}}
{{- define "analytics-dagster.instance" -}}
{{- $daemon := .Values.dagsterDaemon -}}
{{- $queue := $daemon.runCoordinator.config.queuedRunCoordinator -}}
storage:
  {{- include "analytics-dagster.instanceStorage" . | nindent 2 }}
# Nothing is stored here: assets store their data in the warehouse and in S3.
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir: /tmp/dagster
compute_logs:
  {{- include "analytics-dagster.instanceComputeLogs" . | nindent 2 }}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: {{ $queue.dequeueIntervalSeconds }}
    dequeue_use_threads: {{ $queue.dequeueUseThreads }}
    {{- if $queue.dequeueUseThreads }}
    dequeue_num_workers: {{ $queue.dequeueNumWorkers }}
    {{- end }}
    max_user_code_failure_retries: {{ $queue.maxUserCodeFailureRetries }}
    user_code_failure_retry_delay: {{ $queue.userCodeFailureRetryDelay }}
concurrency:
  pools:
    # The limit of the pool is in Dagster's storage: the code writes how many writers its warehouse accepts.
    granularity: op
  runs:
    max_concurrent_runs: {{ $queue.maxConcurrentRuns }}
    tag_concurrency_limits:
      {{- toYaml $queue.tagConcurrencyLimits | nindent 6 }}
run_launcher:
  module: dagster_k8s
  class: K8sRunLauncher
  config:
    {{- include "analytics-dagster.instanceLauncher" . | nindent 4 }}
run_monitoring:
  {{- with $daemon.runMonitoring }}
  enabled: {{ .enabled }}
  start_timeout_seconds: {{ .startTimeoutSeconds }}
  cancel_timeout_seconds: {{ .cancelTimeoutSeconds }}
  max_resume_run_attempts: {{ .maxResumeRunAttempts }}
  {{- with .maxRuntimeSeconds }}
  max_runtime_seconds: {{ . }}
  {{- end }}
  poll_interval_seconds: {{ .pollIntervalSeconds }}
  free_slots_after_run_end_seconds: {{ .freeSlotsAfterRunEndSeconds }}
  {{- end }}
run_retries:
  enabled: {{ $daemon.runRetries.enabled }}
  max_retries: {{ $daemon.runRetries.maxRetries }}
  retry_on_asset_or_op_failure: {{ $daemon.runRetries.retryOnAssetOrOpFailure }}
{{- range $what := list "schedules" "sensors" }}
{{ $what }}:
  {{- with index $daemon $what }}
  use_threads: {{ .useThreads }}
  {{- if .useThreads }}
  num_workers: {{ .numWorkers }}
  {{- end }}
  {{- end }}
{{- end }}
{{- if .Values.retention.enabled }}
retention:
  {{- range $what := list "schedule" "sensor" }}
  {{ $what }}:
    purge_after_days:
      {{- toYaml (index $.Values.retention $what).purgeAfterDays | nindent 6 }}
  {{- end }}
{{- end }}
telemetry:
  enabled: {{ .Values.telemetry.enabled }}
# Telemetry writes to Dagster's home, which is read-only.
nux:
  enabled: false
{{- with .Values.additionalInstanceConfig }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "analytics-dagster.instanceStorage" -}}
postgres:
  postgres_db:
    hostname: {{ include "analytics-dagster.postgresqlHost" . }}
    port: {{ .Values.postgresql.service.port | int }}
    username: {{ .Values.postgresql.postgresqlUsername | quote }}
    password:
      env: DAGSTER_PG_PASSWORD
    db_name: {{ .Values.postgresql.postgresqlDatabase | quote }}
    {{- with .Values.postgresql.postgresqlParams }}
    params:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end -}}

{{- define "analytics-dagster.instanceComputeLogs" -}}
{{- if eq .Values.computeLogManager.type "S3ComputeLogManager" -}}
{{- with .Values.computeLogManager.config.s3ComputeLogManager -}}
module: dagster_aws.s3.compute_log_manager
class: S3ComputeLogManager
config:
  bucket: {{ default $.Values.s3.bucket .bucket }}
  prefix: {{ .prefix }}
  local_dir: /tmp/dagster-logs
  region: {{ $.Values.s3.region }}
  {{- with include "analytics-dagster.s3Endpoint" $ }}
  endpoint_url: {{ . }}
  {{- end }}
  use_ssl: {{ .useSsl }}
  verify: {{ .verify }}
  {{- with .verifyCertPath }}
  verify_cert_path: {{ . }}
  {{- end }}
  skip_empty_files: {{ .skipEmptyFiles }}
  {{- with .uploadInterval }}
  upload_interval: {{ . }}
  {{- end }}
  {{- with .uploadExtraArgs }}
  upload_extra_args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  show_url_only: {{ .showUrlOnly }}
{{- end -}}
{{- else -}}
module: dagster.core.storage.noop_compute_log_manager
class: NoOpComputeLogManager
{{- end -}}
{{- end -}}

{{/* The configuration of the Job of every run. The code location adds its image and its own configuration. */}}
{{- define "analytics-dagster.instanceLauncher" -}}
{{- $launcher := .Values.runLauncher.config.k8sRunLauncher -}}
{{- $pod := dict "root" . "pod" (merge (dict "podSecurityContext" dict "topologySpreadConstraints" list) $launcher) -}}
{{- $spec := include "analytics-dagster.placement" $pod | fromYaml -}}
{{- $given := $launcher.runK8sConfig -}}
load_incluster_config: true
job_namespace: {{ .Release.Namespace }}
instance_config_map: {{ include "analytics-dagster.objectName" (list . "instance") }}
dagster_home: {{ .Values.global.dagsterHome }}
service_account_name: {{ include "analytics-dagster.serviceAccount" (list . "code") }}
image_pull_policy: {{ .Values.image.pullPolicy }}
env_config_maps:
  {{- toYaml $launcher.envConfigMaps | nindent 2 }}
env_secrets:
  {{- toYaml $launcher.envSecrets | nindent 2 }}
# The resources of a schedule group replace these completely, so that requests never exceed limits. Its node selector,
# tolerations and priority class each replace those below.
resources:
  {{- toYaml $launcher.resources | nindent 2 }}
security_context:
  {{- toYaml .Values.securityContext | nindent 2 }}
labels:
  app.kubernetes.io/name: {{ include "analytics-dagster.name" . }}
  app.kubernetes.io/instance: {{ .Release.Name }}
  {{- with merge (deepCopy $launcher.labels) .Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "analytics-dagster.codeVolumes" . | nindent 2 }}
  {{- with $launcher.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volume_mounts:
  {{- include "analytics-dagster.codeVolumeMounts" . | nindent 2 }}
  {{- with $launcher.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
fail_pod_on_run_failure: {{ $launcher.failPodOnRunFailure }}
run_k8s_config:
  container_config:
    env:
      {{- include "analytics-dagster.codeEnv" . | nindent 6 }}
      {{- with $launcher.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $given.containerConfig }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  pod_spec_config:
    # A run has no permissions in Kubernetes and needs no token.
    automountServiceAccountToken: false
    {{- toYaml (mergeOverwrite $spec $given.podSpecConfig) | nindent 4 }}
  pod_template_spec_metadata:
    {{- toYaml $given.podTemplateSpecMetadata | nindent 4 }}
  job_metadata:
    {{- toYaml $given.jobMetadata | nindent 4 }}
  job_spec_config:
    {{- toYaml $given.jobSpecConfig | nindent 4 }}
{{- end -}}

{{/* workspace.yaml: the code locations and their addresses. */}}
{{- define "analytics-dagster.workspace" -}}
load_from:
{{- range include "analytics-dagster.locations" . | fromJsonArray }}
  - grpc_server:
      host: {{ include "analytics-dagster.objectName" (list $ (printf "code-%s" .name)) }}
      port: {{ .port | int }}
      location_name: {{ .name }}
{{- else }}
  []
{{- end }}
{{- end -}}

{{/*
The container context of a code location, in the format of dagster-k8s: what its runs get. It repeats the lists of the
launcher, because each of these lists replaces that of the launcher if a schedule group configures its pods. (list ROOT LOCATION)
*/}}
{{- define "analytics-dagster.containerContext" -}}
{{- $root := index . 0 -}}
{{- $location := index . 1 -}}
{{- $launcher := $root.Values.runLauncher.config.k8sRunLauncher -}}
{{- $context := dict -}}
{{- if $location.includeConfigInLaunchedRuns.enabled -}}
{{- $context = dict
  "env" (concat (include "analytics-dagster.codeEnv" $root | fromYamlArray) $launcher.env $location.env)
  "env_config_maps" (concat $launcher.envConfigMaps $location.envConfigMaps)
  "env_secrets" (concat $launcher.envSecrets $location.envSecrets)
  "volumes" (concat (include "analytics-dagster.codeVolumes" $root | fromYamlArray) $launcher.volumes $location.volumes)
  "volume_mounts" (concat (include "analytics-dagster.codeVolumeMounts" $root | fromYamlArray) $launcher.volumeMounts $location.volumeMounts)
-}}
{{- range $what, $list := $context -}}
{{- $_ := set $context $what (uniq $list) -}}
{{- end -}}
{{- end -}}
{{- with $location.image.pullPolicy -}}
{{- $_ := set $context "image_pull_policy" . -}}
{{- end -}}
{{- dict "k8s" $context | toJson -}}
{{- end -}}

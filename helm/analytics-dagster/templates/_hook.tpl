{{/*
A Job with the image of the chart, as a hook of helm. A dict of: root, component, pod (its values), hooks, weight, account,
token, args or command, env, volumes and volumeMounts (as text), retries.
*/}}
{{- define "analytics-dagster.hookJob" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "analytics-dagster.objectName" (list .root .component) }}
  labels:
    {{- include "analytics-dagster.labels" . | nindent 4 }}
  annotations:
    {{- include "analytics-dagster.hook" . | nindent 4 }}
spec:
  backoffLimit: {{ .retries }}
  activeDeadlineSeconds: {{ default 900 .deadline }}
  template:
    {{- include "analytics-dagster.jobPod" . | nindent 4 }}
{{- end -}}

{{/* The annotations of a hook. Its objects are deleted after success, and before they are created again. */}}
{{- define "analytics-dagster.hook" -}}
helm.sh/hook: {{ .hooks }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/*
The pod of a Job. A dict of: root, component, pod (its values), account, token, args, env, envFrom, volumes and
volumeMounts (as text).
*/}}
{{- define "analytics-dagster.jobPod" -}}
metadata:
  labels:
    {{- include "analytics-dagster.labels" . | nindent 4 }}
    {{- with .pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .pod.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: Never
  {{- with .account }}
  serviceAccountName: {{ . }}
  {{- end }}
  automountServiceAccountToken: {{ default false .token }}
  {{- include "analytics-dagster.placement" . | nindent 2 }}
  containers:
    - name: {{ .component }}
      image: {{ include "analytics-dagster.image" (list .root dict) | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        {{- toYaml .args | nindent 8 }}
      {{- with .env }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with .envFrom }}
      envFrom:
        {{- . | nindent 8 }}
      {{- end }}
      {{- include "analytics-dagster.containerLimits" . | nindent 6 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- with .volumeMounts }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

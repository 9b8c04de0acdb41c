{{/* Pods and Deployments with the image of the chart. */}}

{{/* A probe with a handler. A probe in the values that has its own handler does not change. (list HANDLER PROBE) */}}
{{- define "analytics-dagster.probe" -}}
{{- $probe := index . 1 -}}
{{- if or $probe.exec $probe.httpGet $probe.tcpSocket $probe.grpc -}}
{{- toYaml $probe -}}
{{- else -}}
{{- toYaml (merge (deepCopy $probe) (index . 0)) -}}
{{- end -}}
{{- end -}}

{{/* The node selection and the user of a pod. (dict "root" ROOT "component" COMPONENT "location" LOCATION "pod" VALUES) */}}
{{- define "analytics-dagster.placement" -}}
enableServiceLinks: false
securityContext:
  {{- toYaml (default .root.Values.podSecurityContext .pod.podSecurityContext) | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- if .pod.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .pod.topologySpreadConstraints | nindent 2 }}
{{- else if .spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "analytics-dagster.selectorLabels" . | nindent 8 }}
{{- end }}
{{- end -}}

{{/* The security context of a container. (dict "root" ROOT "pod" VALUES) */}}
{{- define "analytics-dagster.containerLimits" -}}
securityContext:
  {{- toYaml (default .root.Values.securityContext .pod.securityContext) | nindent 2 }}
resources:
  {{- toYaml .pod.resources | nindent 2 }}
# `kubectl describe pod` then shows why the container ended, for example why a code location does not load.
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{/* The ConfigMaps and Secrets whose keys become environment variables. */}}
{{- define "analytics-dagster.envFrom" -}}
{{- range .envConfigMaps }}
- configMapRef:
    name: {{ . }}
{{- end }}
{{- range .envSecrets }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- end -}}

{{/*
A Deployment of one container. A dict of: root, component, name, pod (its values), image, pullPolicy, args, env and
volumes and volumeMounts (as text), port (name and number, if it listens), handler (of the liveness and startup probes) and
readiness (of the readiness probe), replicas (none if a HorizontalPodAutoscaler sets them), recreate, account, token,
checksums.
*/}}
{{- define "analytics-dagster.deployment" -}}
{{- $pod := .pod -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- include "analytics-dagster.labels" . | nindent 4 }}
spec:
  {{- if hasKey . "replicas" }}
  replicas: {{ .replicas }}
  {{- end }}
  {{- if .recreate }}
  strategy:
    type: Recreate
  {{- end }}
  selector:
    matchLabels:
      {{- include "analytics-dagster.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "analytics-dagster.labels" . | nindent 8 }}
        {{- with $pod.labels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        {{- range $name, $content := .checksums }}
        checksum/{{ $name }}: {{ $content | sha256sum }}
        {{- end }}
        {{- with $pod.annotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ .account }}
      automountServiceAccountToken: {{ default false .token }}
      terminationGracePeriodSeconds: {{ $pod.terminationGracePeriodSeconds }}
      {{- include "analytics-dagster.placement" . | nindent 6 }}
      containers:
        - name: {{ .component }}
          image: {{ .image | quote }}
          imagePullPolicy: {{ .pullPolicy }}
          # No command: the entry point of the image copies the manifest of the image to a writable folder.
          args:
            {{- toYaml .args | nindent 12 }}
          {{- with .port }}
          ports:
            - name: {{ .name }}
              containerPort: {{ .number }}
              protocol: TCP
          {{- end }}
          env:
            - name: DAGSTER_HOME
              value: {{ .root.Values.global.dagsterHome }}
            {{- .env | nindent 12 }}
            {{- with $pod.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with include "analytics-dagster.envFrom" $pod }}
          envFrom:
            {{- . | nindent 12 }}
          {{- end }}
          startupProbe:
            {{- include "analytics-dagster.probe" (list .handler $pod.startupProbe) | nindent 12 }}
          livenessProbe:
            {{- include "analytics-dagster.probe" (list .handler $pod.livenessProbe) | nindent 12 }}
          {{- with .readiness }}
          readinessProbe:
            {{- include "analytics-dagster.probe" (list . $pod.readinessProbe) | nindent 12 }}
          {{- end }}
          {{- include "analytics-dagster.containerLimits" . | nindent 10 }}
          volumeMounts:
            {{- .volumeMounts | nindent 12 }}
            {{- with $pod.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- .volumes | nindent 8 }}
        {{- with $pod.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* The Dagster home with both files, for web server and daemon; mounted as one folder. */}}
{{- define "analytics-dagster.homeVolumes" -}}
- name: tmp
  emptyDir: {}
- name: dagster-home
  projected:
    sources:
      - configMap:
          name: {{ include "analytics-dagster.objectName" (list . "instance") }}
      - configMap:
          name: {{ include "analytics-dagster.objectName" (list . "workspace") }}
{{- end -}}

{{- define "analytics-dagster.homeVolumeMounts" -}}
- name: tmp
  mountPath: /tmp
- name: dagster-home
  mountPath: {{ .Values.global.dagsterHome }}
  readOnly: true
{{- end -}}

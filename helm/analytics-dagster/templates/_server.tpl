{{/*
A bundled server, for trials: a StatefulSet of one pod and its Service. A dict of: root, component, pod (its values),
port (its name), container (args, env, ports, probes and volumeMounts, as text), volumes (as text).
*/}}
{{- define "analytics-dagster.server" -}}
{{- $pod := .pod -}}
{{- $name := include "analytics-dagster.objectName" (list .root .component) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "analytics-dagster.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "analytics-dagster.selectorLabels" . | nindent 4 }}
  ports:
    - name: {{ .port }}
      port: {{ $pod.service.port }}
      targetPort: {{ .port }}
      protocol: TCP
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels:
    {{- include "analytics-dagster.labels" . | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ $name }}
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
      {{- with $pod.annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 60
      {{- include "analytics-dagster.placement" . | nindent 6 }}
      containers:
        - name: {{ .component }}
          image: {{ printf "%s%s" $pod.image.repository (ternary (printf "@%s" $pod.image.digest) (printf ":%s" $pod.image.tag) (ne $pod.image.digest "")) | quote }}
          imagePullPolicy: {{ $pod.image.pullPolicy }}
          {{- .container | nindent 10 }}
          {{- include "analytics-dagster.containerLimits" . | nindent 10 }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- with .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- if not $pod.persistence.enabled }}
        - name: data
          emptyDir: {}
        {{- end }}
  {{- if $pod.persistence.enabled }}
  volumeClaimTemplates:
    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: data
        labels:
          {{- include "analytics-dagster.selectorLabels" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $pod.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $pod.persistence.size }}
  {{- end }}
{{- end -}}

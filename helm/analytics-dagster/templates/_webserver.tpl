{{/* The web server, or the read-only web server. (list ROOT "webserver" | "webserver-read-only") */}}
{{- define "analytics-dagster.webserver" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := $root.Values.dagsterWebserver -}}
{{- $readOnly := eq $component "webserver-read-only" -}}
{{- $scaled := and $values.autoscaling.enabled (not $readOnly) -}}
{{- $args := list
  "dagster-webserver"
  "--host" "0.0.0.0"
  "--port" "3000"
  "--workspace" (printf "%s/workspace.yaml" $root.Values.global.dagsterHome)
  "--db-statement-timeout" ($values.dbStatementTimeout | int | toString)
  "--uvicorn-log-level" $values.logLevel
  "--log-format" $values.logFormat
-}}
{{- with $values.pathPrefix -}}
{{- $args = concat $args (list "--path-prefix" .) -}}
{{- end -}}
{{- if $readOnly -}}
{{- $args = append $args "--read-only" -}}
{{- end -}}
{{- $handler := dict "httpGet" (dict "path" (printf "%s/server_info" $values.pathPrefix) "port" "http") -}}
{{- $deployment := dict
  "root" $root
  "component" $component
  "name" (include "analytics-dagster.objectName" (list $root $component))
  "pod" $values
  "image" (include "analytics-dagster.image" (list $root dict))
  "pullPolicy" $root.Values.image.pullPolicy
  "args" $args
  "port" (dict "name" "http" "number" 3000)
  "env" (printf "%s\n%s" (include "analytics-dagster.storageEnv" $root) (include "analytics-dagster.s3Env" $root))
  "handler" $handler
  "readiness" $handler
  "account" (include "analytics-dagster.serviceAccount" (list $root "webserver"))
  "token" (not $readOnly)
  "spread" true
  "checksums" (dict "instance" (include "analytics-dagster.instance" $root) "workspace" (include "analytics-dagster.workspace" $root))
  "volumes" (include "analytics-dagster.homeVolumes" $root)
  "volumeMounts" (include "analytics-dagster.homeVolumeMounts" $root)
-}}
{{- if not $scaled -}}
{{- $_ := set $deployment "replicas" $values.replicaCount -}}
{{- end -}}
{{- include "analytics-dagster.deployment" $deployment }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $deployment.name }}
  labels:
    {{- include "analytics-dagster.labels" $deployment | nindent 4 }}
  {{- with $values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $values.service.type }}
  selector:
    {{- include "analytics-dagster.selectorLabels" $deployment | nindent 4 }}
  ports:
    - name: http
      port: {{ $values.service.port }}
      targetPort: http
      protocol: TCP
{{- if and $values.podDisruptionBudget.enabled (or $scaled (gt (int $values.replicaCount) 1)) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $deployment.name }}
  labels:
    {{- include "analytics-dagster.labels" $deployment | nindent 4 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "analytics-dagster.selectorLabels" $deployment | nindent 6 }}
{{- end }}
{{- if $scaled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $deployment.name }}
  labels:
    {{- include "analytics-dagster.labels" $deployment | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $deployment.name }}
  minReplicas: {{ $values.autoscaling.minReplicas }}
  maxReplicas: {{ $values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $values.autoscaling.targetCPUUtilizationPercentage }}
{{- end }}
{{- end -}}

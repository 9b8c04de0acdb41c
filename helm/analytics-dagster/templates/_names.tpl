{{/* Names and labels. For every release name, they are short enough for Kubernetes and unique. */}}

{{/* A text, cut to a number of characters; a digest replaces the rest. (list TEXT LENGTH) */}}
{{- define "analytics-dagster.shorten" -}}
{{- $text := index . 0 -}}
{{- $length := index . 1 | int -}}
{{- if gt (len $text) $length -}}
{{- printf "%s-%s" ($text | trunc (int (sub $length 9)) | trimSuffix "-") ($text | sha256sum | trunc 8) -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{- define "analytics-dagster.name" -}}
{{- include "analytics-dagster.shorten" (list (default .Chart.Name .Values.nameOverride) 63) -}}
{{- end -}}

{{- define "analytics-dagster.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- include "analytics-dagster.shorten" (list (default $full .Values.fullnameOverride) 36) -}}
{{- end -}}

{{/* The name of an object. At most 52, because the pods of a StatefulSet have a label with 11 more characters. (list ROOT SUFFIX) */}}
{{- define "analytics-dagster.objectName" -}}
{{- include "analytics-dagster.shorten" (list (printf "%s-%s" (include "analytics-dagster.fullname" (index . 0)) (index . 1)) 52) -}}
{{- end -}}

{{/* The labels of a selector. (dict "root" ROOT "component" COMPONENT) */}}
{{- define "analytics-dagster.selectorLabels" -}}
app.kubernetes.io/name: {{ include "analytics-dagster.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .location }}
dagster/code-location: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels. (dict "root" ROOT "component" COMPONENT) */}}
{{- define "analytics-dagster.labels" -}}
{{ include "analytics-dagster.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name of a service account. (list ROOT "webserver" | "daemon" | "code") */}}
{{- define "analytics-dagster.serviceAccount" -}}
{{- $account := index (index . 0).Values.serviceAccounts (index . 1) -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- include "analytics-dagster.objectName" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* The name of an image; unset fields are those of the chart's image. (list ROOT IMAGE) */}}
{{- define "analytics-dagster.image" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- $ours := or (not $own.repository) (eq $own.repository $root.Values.image.repository) -}}
{{- $repository := default $root.Values.image.repository $own.repository -}}
{{- $inherited := ternary $root.Values.image (dict "tag" "" "digest" "") (and $ours (not $own.tag) (not $own.digest)) -}}
{{- $digest := default $inherited.digest $own.digest -}}
{{- $tag := default $inherited.tag $own.tag -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $tag) -}}
{{- end -}}
{{- end -}}

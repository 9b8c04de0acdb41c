{{/* Names and labels. Whatever the release is called, no name is longer than Kubernetes takes, and none is another's. */}}

{{/* A text, no longer than a number of characters; what is cut off lives on as a digest. (list TEXT LENGTH) */}}
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

{{/* The name of one object. 52, since a StatefulSet's pods are labelled with it and eleven characters more. (list ROOT SUFFIX) */}}
{{- define "analytics-dagster.objectName" -}}
{{- include "analytics-dagster.shorten" (list (printf "%s-%s" (include "analytics-dagster.fullname" (index . 0)) (index . 1)) 52) -}}
{{- end -}}

{{/* What a selector selects by. (dict "root" ROOT "component" COMPONENT) */}}
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

{{/* An image's name. (list ROOT IMAGE): what the image does not say is the chart's. */}}
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

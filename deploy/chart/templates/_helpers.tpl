{{- define "pull-patrol.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "pull-patrol.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pull-patrol.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pull-patrol.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Labels of an object: those of the chart, the common ones, and the object's own, which win. */}}
{{- define "pull-patrol.labels" -}}
{{- $root := .root }}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (include "pull-patrol.version" $root)
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/part-of" "pull-patrol" }}
{{- $selector := include "pull-patrol.selectorLabels" $root | fromYaml }}
{{- mergeOverwrite (dict) $own $root.Values.commonLabels (.labels | default dict) $selector | toYaml }}
{{- end }}

{{- /* The image's version as a label takes it. */}}
{{- define "pull-patrol.version" -}}
{{- .Values.image.tag | default .Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "pull-patrol.metadata" -}}
name: {{ .name | default (include "pull-patrol.fullname" .root) }}
namespace: {{ .namespace | default .root.Release.Namespace }}
{{ include "pull-patrol.unscopedMetadata" . }}
{{- end }}

{{- define "pull-patrol.unscopedMetadata" -}}
labels:
  {{- include "pull-patrol.labels" . | nindent 2 }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pull-patrol.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pull-patrol.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pull-patrol.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The namespaces of the scope as a list in JSON; empty where the scope is the cluster. Where Secrets are named and
namespaces are not, they are those of the Secrets. */}}
{{- define "pull-patrol.namespaces" -}}
{{- $scope := .Values.config.scope | default dict }}
{{- $namespaces := $scope.namespaces | default list }}
{{- if not $namespaces }}
{{- range $scope.secrets }}
{{- $namespaces = append $namespaces .namespace }}
{{- end }}
{{- end }}
{{- $namespaces | uniq | toJson }}
{{- end }}

{{- /* The config file. What may not be read is not asked for either. */}}
{{- define "pull-patrol.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if eq .Values.rbac.secrets "none" }}
{{- $config = mergeOverwrite $config (dict "scope" (dict "readSecrets" false)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* What cannot be meant of the scope is said here rather than by a daemon that does not start. */}}
{{- define "pull-patrol.checkScope" -}}
{{- $scope := .Values.config.scope | default dict }}
{{- $namespaces := include "pull-patrol.namespaces" . | fromJsonArray }}
{{- if and (eq .Values.rbac.secrets "named") (not $scope.secrets) }}
{{- fail "rbac.secrets: named needs the Secrets in config.scope.secrets" }}
{{- end }}
{{- range $scope.secrets }}
{{- if or (not (has .namespace $namespaces)) (has .namespace ($scope.excludeNamespaces | default list)) }}
{{- fail (printf "config.scope.secrets: %s/%s is in a namespace that config.scope.namespaces or config.scope.excludeNamespaces leaves out" .namespace .name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What the daemon reads in a namespace, or in all of them where there is none. Named Secrets are granted by their names
alone. */}}
{{- define "pull-patrol.rules" -}}
{{- $namespace := .namespace }}
{{- with .root }}
{{- $scope := .Values.config.scope | default dict }}
{{- if and (ne .Values.rbac.secrets "none") (ne (toString $scope.readSecrets) "false") }}
{{- $names := list }}
{{- range $scope.secrets }}
{{- if eq .namespace $namespace }}
{{- $names = append $names .name }}
{{- end }}
{{- end }}
{{- if $names }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- $names | uniq | toYaml | nindent 4 }}
  verbs: [list, watch]
{{- else if not $scope.secrets }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end }}
{{- end }}
- apiGroups: [""]
  resources: [pods, serviceaccounts]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  verbs: [list, watch]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [list, watch]
{{- if .Values.rbac.actionsRunnerController }}
- apiGroups: [actions.github.com]
  resources: [autoscalingrunnersets, ephemeralrunnersets, ephemeralrunners, autoscalinglisteners]
  verbs: [list, watch]
- apiGroups: [actions.summerwind.dev]
  resources: [runners, runnerdeployments, runnerreplicasets, runnersets]
  verbs: [list, watch]
{{- end }}
{{- with .Values.rbac.hookTemplates }}
- apiGroups: [""]
  resources: [configmaps]
  resourceNames:
    {{- toYaml . | nindent 4 }}
  verbs: [list, watch]
{{- end }}
{{- if ne (toString .Values.config.events) "false" }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- with .Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

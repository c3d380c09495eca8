{{/* Names, labels and the few values that several templates must agree on. */}}

{{- define "model-manager.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters at most, so that a track's name still fits behind it. */}}
{{- define "model-manager.fullname" -}}
{{- $name := include "model-manager.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The tracks, as JSON, without those that a later file or --set took away with null. */}}
{{- define "model-manager.tracks" -}}
{{- $tracks := dict }}
{{- range $track, $config := .Values.tracks }}
{{- if not (kindIs "invalid" $config) }}{{- $_ := set $tracks $track $config }}{{- end }}
{{- end }}
{{- toJson $tracks }}
{{- end }}

{{/* What selects the pods of all tracks: never the chart's or the image's version, a selector cannot change. */}}
{{- define "model-manager.selectorLabels" -}}
app.kubernetes.io/name: {{ include "model-manager.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "model-manager.labels" -}}
{{ include "model-manager.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{- define "model-manager.metadata" -}}
name: {{ include "model-manager.fullname" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "model-manager.labels" . | nindent 2 }}
{{- end }}

{{/* (list $ track): the metadata of what a track owns. */}}
{{- define "model-manager.trackMetadata" -}}
{{- $root := first . }}
{{- $track := last . -}}
name: "{{ include "model-manager.fullname" $root }}-{{ $track }}"
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "model-manager.labels" $root | nindent 2 }}
  version: {{ $track | quote }}
{{- end }}

{{/* The name under which Istio knows the Service. */}}
{{- define "model-manager.host" -}}
{{ include "model-manager.fullname" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{- define "model-manager.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "model-manager.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* (list $ tag): the version of the server that a track runs, by the tag of its image. */}}
{{- define "model-manager.tag" -}}
{{- default (first .).Values.image.tag (last .) | default (first .).Chart.AppVersion }}
{{- end }}

{{/* (list $ tag): a digest wins over a tag, a tag over the chart's appVersion. */}}
{{- define "model-manager.image" -}}
{{- $root := first . }}
{{- if and $root.Values.image.digest (not (last .)) }}
{{- printf "%s@%s" $root.Values.image.repository $root.Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $root.Values.image.repository (include "model-manager.tag" .) }}
{{- end }}
{{- end }}

{{/* (list $ config): the settings of one track, its own over the chart's, as JSON. */}}
{{- define "model-manager.settings" -}}
{{- $root := first . }}
{{- mergeOverwrite (deepCopy $root.Values.settings) (default dict (last .).settings) | toJson }}
{{- end }}

{{/* Not empty when a track takes labels, and its pods tell them to each other. */}}
{{- define "model-manager.takesLabels" -}}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- $settings := include "model-manager.settings" (list $ $config) | fromJson }}
{{- if and $settings.feedbackWindowS (not $settings.tlsCert) }}true{{ end }}
{{- end }}
{{- end }}

{{/* (list $ config): the artifacts of one track, its own over the chart's, as JSON. */}}
{{- define "model-manager.artifacts" -}}
{{- $root := first . }}
{{- mergeOverwrite (deepCopy $root.Values.artifacts) (default dict (last .).artifacts) | toJson }}
{{- end }}

{{/* (list $ config): the fewest pods that a track has. */}}
{{- define "model-manager.minReplicas" -}}
{{- $root := first . }}
{{- $config := last . }}
{{- $scaler := ternary $root.Values.autoscaling $root.Values.keda $root.Values.autoscaling.enabled }}
{{- if include "model-manager.autoscaled" $root }}
{{- (default dict $config.autoscaling).minReplicas | default $scaler.minReplicas }}
{{- else }}
{{- ternary $config.replicas $root.Values.replicas (hasKey $config "replicas") }}
{{- end }}
{{- end }}

{{/* (list $ config): the most pods that a scaler gives a track. */}}
{{- define "model-manager.maxReplicas" -}}
{{- $root := first . }}
{{- $scaler := ternary $root.Values.autoscaling $root.Values.keda $root.Values.autoscaling.enabled }}
{{- (default dict (last .).autoscaling).maxReplicas | default $scaler.maxReplicas }}
{{- end }}

{{/* Not empty when something other than the chart counts the pods. */}}
{{- define "model-manager.autoscaled" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}true{{ end }}
{{- end }}

{{/* Not empty when the pods are in an Istio mesh: any switch that only a sidecar obeys says so. */}}
{{- define "model-manager.mesh" -}}
{{- with .Values.istio }}
{{- if or (eq $.Values.routing "istio") .sidecar .peerAuthentication.enabled .requestAuthentication.enabled .authorization.enabled .telemetry.enabled .sidecarScope.enabled }}true{{ end }}
{{- end }}
{{- end }}

{{/* The one track that has all traffic when nobody splits it. */}}
{{- define "model-manager.onlyTrack" -}}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- if eq (int $config.weight) 100 }}{{ $track }}{{ end }}
{{- end }}
{{- end }}

{{/* (list $ config): annotations of a track's pods. What is said of the proxy here joins what the chart needs of it. */}}
{{- define "model-manager.podAnnotations" -}}
{{- $root := first . }}
{{- $settings := include "model-manager.settings" . | fromJson }}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" "server" }}
{{- $_ := mergeOverwrite $annotations (deepCopy $root.Values.podAnnotations) (default dict (last .).podAnnotations) }}
{{- if include "model-manager.mesh" $root }}
{{- /* The proxy is there before the server starts, and stays for as long as the server may take to stop. */}}
{{- $drain := addf $root.Values.shutdown.preStopSleepS $settings.lameDuckS $settings.drainTimeoutS | ceil }}
{{- $proxy := dict "holdApplicationUntilProxyStarts" true "terminationDrainDuration" (printf "%vs" $drain) }}
{{- $given := get $annotations "proxy.istio.io/config" | default "{}" | fromYaml }}
{{- if hasKey $given "Error" }}
{{- fail (printf "podAnnotations: proxy.istio.io/config holds YAML, and this is none: %s" $given.Error) }}
{{- end }}
{{- $_ := set $annotations "proxy.istio.io/config" (mergeOverwrite $proxy $given | toYaml) }}
{{- end }}
{{- toYaml $annotations }}
{{- end }}

{{/* A duration such as 500ms, 6s or 1m, in milliseconds. */}}
{{- define "model-manager.milliseconds" -}}
{{- $number := regexFind "^[0-9]+" . | int }}
{{- $unit := regexFind "[a-z]+$" . }}
{{- mul $number (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) }}
{{- end }}

{{/* The tracks a request may pin itself to, as JSON. */}}
{{- define "model-manager.pinnable" -}}
{{- .Values.route.pin.tracks | default (include "model-manager.subsets" . | fromJson | keys | sortAlpha) | toJson }}
{{- end }}

{{/* The Gateways among the parents of the routes. */}}
{{- define "model-manager.grpcParents" -}}
{{- $parents := list }}
{{- range .Values.gatewayAPI.parentRefs }}
{{- if eq (.kind | default "Gateway") "Gateway" }}
{{- $parents = append $parents . }}
{{- end }}
{{- end }}
{{- toJson $parents }}
{{- end }}

{{/* (list $ track): a Cookie header in which the pinning cookie names a track, wherever it stands. */}}
{{- define "model-manager.cookieRegex" -}}
^(.*;\s*)?{{ (first .).Values.route.pin.cookie }}={{ last . }}(;.*)?$
{{- end }}

{{/* How probes and Services find the admin port of a pod: by its name; by its number where the pod must not name it, because
     Flagger puts every port that a pod names into the Services that callers get. */}}
{{- define "model-manager.adminPort" -}}
{{- ternary .Values.settings.adminPort "http-admin" (not (empty (include "model-manager.portsDiscovered" .))) }}
{{- end }}

{{/* Not empty where Flagger looks for ports: gRPC has one of its own. */}}
{{- define "model-manager.portsDiscovered" -}}
{{- if and (eq .Values.progressive "flagger") .Values.settings.grpcPort }}true{{ end }}
{{- end }}

{{/* (list path values settings $): a probe of the admin port, which no mesh policy and no load stands before. */}}
{{- define "model-manager.probe" -}}
httpGet:
  path: "/v2/health/{{ first . }}"
  port: {{ include "model-manager.adminPort" (last .) }}
  {{- if (index . 2).tlsCert }}
  scheme: HTTPS
  {{- end }}
periodSeconds: {{ (index . 1).periodS }}
failureThreshold: {{ (index . 1).failureThreshold }}
timeoutSeconds: {{ (index . 1).timeoutS }}
{{- end }}

{{/* Every series says which track it comes from. */}}
{{- define "model-manager.trackRelabelings" -}}
{{- if eq .Values.progressive "flagger" -}}
- {targetLabel: track, replacement: canary}
- {sourceLabels: [__meta_kubernetes_pod_label_app], regex: .+-primary, targetLabel: track, replacement: stable}
{{- else if eq .Values.progressive "argo" -}}
- {sourceLabels: [__meta_kubernetes_pod_label_track], targetLabel: track}
{{- else -}}
- {sourceLabels: [__meta_kubernetes_pod_label_version], targetLabel: track}
{{- end }}
{{- end }}

{{/* (list $ "env" or "mount"): the names of the Secrets given in that way, as JSON. */}}
{{- define "model-manager.secretNames" -}}
{{- $names := list }}
{{- range $name, $how := (first .).Values.secrets }}
{{- if get $how (last $) }}{{- $names = append $names $name }}{{- end }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/* (list $ track config): OpenTelemetry's own variables, which the server reads as every SDK does. */}}
{{- define "model-manager.tracingEnv" -}}
{{- $root := index . 0 }}
{{- with $root.Values.tracing -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .protocol | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ divf .samplingPercent 100 | toJson | quote }}
- name: OTEL_SERVICE_NAME
  value: {{ include "model-manager.fullname" $root | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
# after POD_NAME, which it names
- name: OTEL_RESOURCE_ATTRIBUTES
  value: "k8s.namespace.name={{ $root.Release.Namespace }},k8s.pod.name=$(POD_NAME),service.version={{ include "model-manager.tag" (list $root (index $ 2).imageTag) }}{{ if eq $root.Values.progressive "none" }},track={{ index $ 1 }}{{ end }}"
{{- end }}
{{- end }}

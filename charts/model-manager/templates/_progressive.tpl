{{/* What Flagger and Argo Rollouts need beside the rest: subsets, what is live, and what is measured. */}}

{{/* The subsets of the traffic and their weights, as JSON: the tracks, or Argo's two sides of the only track. */}}
{{- define "model-manager.subsets" -}}
{{- $subsets := dict }}
{{- if eq .Values.progressive "argo" }}
{{- $subsets = include "model-manager.liveWeights" . | fromJson }}
{{- else }}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- $_ := set $subsets $track $config.weight }}
{{- end }}
{{- end }}
{{- toJson $subsets }}
{{- end }}

{{/*
Argo Rollouts changes two objects that the chart renders: the weights of the VirtualService and the labels of the
subsets. An upgrade that said other values would pull traffic off a canary for a moment (Helm 3) or be refused as a
conflict (Helm 4, which applies server-side); so it says what is there. Without a cluster (`helm template`, Argo CD)
nothing is there, and whoever applies the text must leave these fields alone: the README says how.
*/}}
{{- define "model-manager.liveWeights" -}}
{{- $weights := dict "stable" 100 "canary" 0 }}
{{- $live := lookup "networking.istio.io/v1" "VirtualService" .Release.Namespace (include "model-manager.fullname" .) }}
{{- range dig "spec" "http" (list) $live }}
{{- if eq (default "" .name) "weighted" }}
{{- range .route }}
{{- if hasKey $weights (default "" .destination.subset) }}
{{- $_ := set $weights .destination.subset (default 0 .weight | int) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $weights }}
{{- end }}

{{/* (list $ subset): what selects the pods of a subset, with the hash that Argo Rollouts wrote into it. */}}
{{- define "model-manager.subsetLabels" -}}
{{- $root := first . }}
{{- $subset := last . }}
{{- if eq $root.Values.progressive "argo" -}}
app: {{ include "model-manager.fullname" $root | quote }}
{{- $live := lookup "networking.istio.io/v1" "DestinationRule" $root.Release.Namespace (include "model-manager.fullname" $root) }}
{{- range dig "spec" "subsets" (list) $live }}
{{- if and (eq .name $subset) (hasKey .labels "rollouts-pod-template-hash") }}
rollouts-pod-template-hash: {{ get .labels "rollouts-pod-template-hash" | quote }}
{{- end }}
{{- end }}
{{- else -}}
version: {{ $subset | quote }}
{{- end }}
{{- end }}

{{/* Not empty where connections that failed can be told from answers: a Canary before Flagger 1.44 has no field for it. */}}
{{- define "model-manager.splitsLocalErrors" -}}
{{- if or (ne .Values.progressive "flagger") (semverCompare ">=1.44.0-0" .Values.flagger.version) }}true{{ end }}
{{- end }}

{{/* (list $ track): how many pods the Deployment keeps that a Rollout takes its template from: those it has now, so that
     a release that serves by it loses none before the Rollout's are there. Argo Rollouts scales it to 0. */}}
{{- define "model-manager.referencedReplicas" -}}
{{- $root := first . }}
{{- $live := lookup "apps/v1" "Deployment" $root.Release.Namespace (printf "%s-%s" (include "model-manager.fullname" $root) (last .)) }}
{{- dig "spec" "replicas" 0 $live | int }}
{{- end }}

{{/* (list $ track config): the ConfigMap with a track's models.yaml. */}}
{{- define "model-manager.modelsConfigMap" -}}
{{- $root := index . 0 }}
{{- $config := index . 2 }}
{{- $name := printf "%s-%s" (include "model-manager.fullname" $root) (index . 1) }}
{{- if $config.existingConfigMap }}
{{- $config.existingConfigMap }}
{{- else if eq $root.Values.progressive "argo" }}
{{- printf "%s-%s" $name (default dict $config.models | toJson | sha256sum | trunc 8) }}
{{- else }}
{{- $name }}
{{- end }}
{{- end }}

{{/*
(list $ track config): how many pods the workload of a track has. Where a scaler counts them, they are as many as there
are, and at first the fewest that it would keep: without the field Kubernetes starts one, and an upgrade that took the
field away would leave one, until the scaler looks again. Said as it is, it takes the count from nobody and is no
conflict with whoever wrote it. A Rollout begins with as many as the Deployment has that it replaces.
*/}}
{{- define "model-manager.replicas" -}}
{{- $root := index . 0 }}
{{- $least := include "model-manager.minReplicas" (list $root (index . 2)) | int }}
{{- if include "model-manager.autoscaled" $root }}
{{- $scaled := include "model-manager.scaled" (list $root (index . 1)) | fromYaml }}
{{- if eq $scaled.kind "Rollout" }}
{{- $least = include "model-manager.referencedReplicas" (list $root (index . 1)) | int | default $least }}
{{- end }}
{{- dig "spec" "replicas" $least (lookup $scaled.apiVersion $scaled.kind $root.Release.Namespace $scaled.name) | int }}
{{- else }}
{{- $least }}
{{- end }}
{{- end }}

{{/* (list $ track): the workload whose pods a scaler counts. */}}
{{- define "model-manager.scaled" -}}
{{- if eq (first .).Values.progressive "argo" -}}
apiVersion: argoproj.io/v1alpha1
kind: Rollout
name: {{ include "model-manager.fullname" (first .) | quote }}
{{- else -}}
apiVersion: apps/v1
kind: Deployment
name: "{{ include "model-manager.fullname" (first .) }}-{{ last . }}"
{{- end }}
{{- end }}

{{/* (list $ track side): a regular expression of the names of pods: a workload's name, a hash, a suffix, so that another
     track's name is never matched. side: primary for Flagger's copy of the track, else empty. */}}
{{- define "model-manager.pods" -}}
{{- $fullname := include "model-manager.fullname" (index . 0) }}
{{- if eq (index . 0).Values.progressive "argo" -}}
{{ $fullname }}-[a-z0-9]+-[a-z0-9]+
{{- else -}}
{{ $fullname }}-{{ index . 1 }}{{ with index . 2 }}-{{ . }}{{ end }}-[a-z0-9]+-[a-z0-9]+
{{- end }}
{{- end }}

{{/* (list $ pods): what is measured of the pods of such names, as YAML: a query of one number, and what it must be. */}}
{{- define "model-manager.measurements" -}}
{{- $root := first . }}
{{- $of := printf "namespace=%q,pod=~%q" $root.Release.Namespace (last .) }}
{{- with $root.Values.analysis }}
{{- $unrouted := printf "(sum(rate(model_manager_unrouted_requests_total{%s,code=~\"5..\"}[%s])) or vector(0))" $of .interval -}}
# Of what the server answers for; 4xx, with 499 for callers that left, are the callers' own. No traffic is no number.
success-percent:
  min: {{ .minSuccessPercent }}
  query: >-
    100 * (1 - (
    (sum(rate(model_manager_requests_total{ {{- $of }},code=~"5.."}[{{ .interval }}])) or vector(0)) + {{ $unrouted }}
    ) / (
    (sum(rate(model_manager_requests_total{ {{- $of }},code!~"4.."}[{{ .interval }}])) or vector(0)) + {{ $unrouted }}
    ))
p99-ms:
  max: {{ .maxP99Ms }}
  query: >-
    1000 * histogram_quantile(0.99, sum by (le) (
    rate(model_manager_request_duration_seconds_bucket{ {{- $of }}}[{{ .interval }}])))
# A pod is ready although a version of it failed, and what served before would answer: no reason to promote it.
failed-versions:
  max: 0
  query: >-
    count(model_manager_version_state{ {{- $of }},state="failed"} == 1) or vector(0)
{{- if hasKey . "minAccuracyPercent" }}
# No label of which the time is over is no number.
live-accuracy-percent:
  min: {{ .minAccuracyPercent }}
  query: >-
    100 * sum(increase(model_manager_labelled_predictions_total{ {{- $of }},outcome="right"}[{{ .liveWindow }}]))
    / sum(increase(model_manager_labelled_predictions_total{ {{- $of }},outcome=~"right|wrong"}[{{ .liveWindow }}]))
{{- end }}
{{- if hasKey . "maxDriftedColumns" }}
drifted-columns:
  max: {{ .maxDriftedColumns }}
  query: >-
    max(model_manager_drifted_columns{ {{- $of }}}) or vector(0)
{{- end }}
{{- end }}
{{- end }}

{{/* The existing ConfigMaps that pods read artifacts from, as JSON. */}}
{{- define "model-manager.artifactConfigMaps" -}}
{{- $names := list }}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- if not $config.repository }}
{{- with $config.existingConfigMap }}{{- $names = append $names . }}{{- end }}
{{- range $name, $used := (include "model-manager.artifacts" (list $ $config) | fromJson).configMaps }}
{{- if $used }}{{- $names = append $names $name }}{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- uniq $names | toJson }}
{{- end }}

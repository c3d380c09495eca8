{{/* The rules of progressive and analysis, which _validate.tpl applies. */}}
{{- define "model-manager.validateProgressive" -}}
{{- $progressive := .Values.progressive }}
{{- $tracks := include "model-manager.tracks" . | fromJson | keys | sortAlpha }}
{{- with .Values.analysis }}
{{- if and .serverAddress (eq $progressive "none") }}
{{- fail "analysis.serverAddress has no effect with progressive: none: set progressive to flagger or argo" }}
{{- end }}
{{- if ne $progressive "none" }}
{{- if not .serverAddress }}
{{- fail "analysis.serverAddress: say where Prometheus is, such as http://prometheus.monitoring:9090" }}
{{- end }}
{{- if gt (len $tracks) 1 }}
{{- fail (printf "progressive: %s makes the other track itself, of what changes in the only one: keep one of %s" $progressive (join ", " $tracks)) }}
{{- end }}
{{- $last := 0 }}
{{- range .stepWeights }}
{{- if le (int .) $last }}
{{- fail (printf "analysis.stepWeights: %d does not come after %d: let them ascend" (int .) $last) }}
{{- end }}
{{- $last = int . }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $progressive "argo") (ne .Values.routing "istio") }}
{{- fail (printf "progressive: argo moves the weights of a VirtualService, and with routing: %s there is none: set routing to istio" .Values.routing) }}
{{- end }}
{{- if and (eq $progressive "argo") .Values.keda.enabled (contains "TRACK" .Values.keda.query) }}
{{- fail "keda.query: TRACK is no single track with progressive: argo, where one scaler counts the pods of both: name the pods otherwise" }}
{{- end }}
{{- if eq $progressive "flagger" }}
{{- if semverCompare "<1.35.0-0" .Values.flagger.version }}
{{- fail (printf "flagger.version: the Canary is written for Flagger 1.35 or newer, which knows Gateway API v1 and LEAST_REQUEST, not for %s" .Values.flagger.version) }}
{{- end }}
{{- if eq .Values.routing "none" }}
{{- fail "progressive: flagger moves the weights of a route, and with routing: none there is none: set routing to istio or gatewayAPI" }}
{{- end }}
{{- if not (include "model-manager.autoscaled" .) }}
{{- fail "progressive: flagger scales the Deployment to 0 between analyses, so nothing here may name a number of pods: enable autoscaling or keda" }}
{{- end }}
{{- if ne .Values.service.type "ClusterIP" }}
{{- fail (printf "service.type: Flagger makes the Service, and always as ClusterIP, not as %s: lead to it by a gateway" .Values.service.type) }}
{{- end }}
{{- if and .Values.monitoring.podMonitor.enabled (include "model-manager.portsDiscovered" .) }}
{{- fail "monitoring.podMonitor finds the admin port by its name, and with Flagger and settings.grpcPort no pod may name it, or callers' Services would have it: enable monitoring.serviceMonitor" }}
{{- end }}
{{- if .Values.route.pin.tracks }}
{{- fail "route.pin.tracks has no effect with progressive: flagger, whose route knows no pins" }}
{{- end }}
{{- range include "model-manager.artifactConfigMaps" . | fromJsonArray }}
{{- $live := lookup "v1" "ConfigMap" $.Release.Namespace . }}
{{- if and (dig "binaryData" dict $live) (not (hasPrefix "disable" (dig "metadata" "annotations" "flagger.app/config-tracking" "" $live))) }}
{{- fail (printf "ConfigMap %s: Flagger's copy of it would be without binaryData, and its primary pods without models: kubectl --namespace %s annotate configmap %s flagger.app/config-tracking=disabled" . $.Release.Namespace .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

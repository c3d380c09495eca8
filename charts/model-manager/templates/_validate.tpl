{{/*
Rules between fields, which a schema cannot say. Each refusal names the value, what is wrong and what to do.
deployment.yaml includes this, so that nothing renders past a broken rule.
*/}}
{{- define "model-manager.validate" -}}
{{- include "model-manager.validateNames" . }}
{{- include "model-manager.validateWeights" . }}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- include "model-manager.validateModels" (list $ $track $config) }}
{{- include "model-manager.validateTiming" (list $ $track $config) }}
{{- include "model-manager.validateReplicas" (list $ $track $config) }}
{{- end }}
{{- include "model-manager.validateScaling" . }}
{{- include "model-manager.validateRouting" . }}
{{- include "model-manager.validateProgressive" . }}
{{- include "model-manager.validateIstio" . }}
{{- include "model-manager.validateTelemetry" . }}
{{- include "model-manager.validateExtras" . }}
{{- include "model-manager.validateOthers" . }}
{{- end }}

{{- define "model-manager.validateWeights" -}}
{{- $sum := 0 }}
{{- $said := list }}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- $sum = add $sum (int $config.weight) }}
{{- $said = append $said (printf "%s %d" $track (int $config.weight)) }}
{{- end }}
{{- if ne (int $sum) 100 }}
{{- fail (printf "tracks: the weights add up to %d, not 100 (%s): lower one by what another gains" $sum (join ", " $said)) }}
{{- end }}
{{- if and (eq .Values.routing "none") (not (include "model-manager.onlyTrack" .)) }}
{{- fail (printf "routing: none cannot split traffic (%s): set routing to istio or gatewayAPI, or give one track weight 100" (join ", " $said)) }}
{{- end }}
{{- end }}

{{- define "model-manager.validateModels" -}}
{{- $root := index . 0 }}
{{- $track := index . 1 }}
{{- $config := index . 2 }}
{{- $artifacts := include "model-manager.artifacts" (list $root $config) | fromJson }}
{{- $sources := list }}
{{- if $config.models }}{{- $sources = append $sources "models" }}{{- end }}
{{- if $config.existingConfigMap }}{{- $sources = append $sources "existingConfigMap" }}{{- end }}
{{- if $config.repository }}{{- $sources = append $sources "repository" }}{{- end }}
{{- if gt (len $sources) 1 }}
{{- fail (printf "tracks.%s: %s exclude each other: keep the one that says what to serve" $track (join " and " $sources)) }}
{{- end }}
{{- with $config.repository }}
{{- if not (hasKey $artifacts.volumes .) }}
{{- fail (printf "tracks.%s.repository: %q is no volume of artifacts.volumes (%s)" $track . (keys $artifacts.volumes | sortAlpha | join ", " | default "there is none")) }}
{{- end }}
{{- range $name, $used := (default dict (default dict $config.artifacts).configMaps) }}
{{- if $used }}
{{- fail (printf "tracks.%s.artifacts.configMaps.%s has no effect beside repository: a repository is read from its volume alone" $track $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "model-manager.validateArtifacts" . }}
{{- range $name, $volume := $artifacts.volumes }}
{{- if and $volume.image (semverCompare "<1.31.0-0" $root.Capabilities.KubeVersion.Version) }}
{{- fail (printf "artifacts.volumes.%s.image: Kubernetes %s knows no image volumes: they came with 1.31" $name $root.Capabilities.KubeVersion.Version) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateTiming" -}}
{{- $root := index . 0 }}
{{- $track := index . 1 }}
{{- $settings := include "model-manager.settings" (list $root (index . 2)) | fromJson }}
{{- $shutdown := $root.Values.shutdown }}
{{- $needed := addf $shutdown.preStopSleepS $settings.lameDuckS $settings.drainTimeoutS }}
{{- if le (float64 $shutdown.gracePeriodS) (float64 $needed) }}
{{- fail (printf "shutdown.gracePeriodS: %v s is not longer than preStopSleepS, lameDuckS and drainTimeoutS together (%v s for track %s): requests would be cut off" $shutdown.gracePeriodS $needed $track) }}
{{- end }}
{{- if lt (mulf $settings.drainTimeoutS 1000) (float64 $settings.timeoutMs) }}
{{- fail (printf "settings.drainTimeoutS: %v s is shorter than timeoutMs (%v ms for track %s): a request that may still be answered would be cut off" $settings.drainTimeoutS $settings.timeoutMs $track) }}
{{- end }}
{{- if ne $root.Values.routing "none" }}
{{- if le (include "model-manager.milliseconds" $root.Values.route.timeout | float64) (float64 $settings.timeoutMs) }}
{{- fail (printf "route.timeout: %s is not longer than settings.timeoutMs (%v ms for track %s): the proxy would give up before the server says why" $root.Values.route.timeout $settings.timeoutMs $track) }}
{{- end }}
{{- end }}
{{- if eq $root.Values.routing "istio" }}
{{- if ge (include "model-manager.milliseconds" $root.Values.istio.connectionPool.idleTimeout | float64) (mulf $settings.keepAliveS 1000) }}
{{- fail (printf "istio.connectionPool.idleTimeout: %s is not shorter than settings.keepAliveS (%v s for track %s): the proxy would reuse connections that the server is closing" $root.Values.istio.connectionPool.idleTimeout $settings.keepAliveS $track) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateReplicas" -}}
{{- $root := index . 0 }}
{{- $track := index . 1 }}
{{- $config := index . 2 }}
{{- $autoscaled := include "model-manager.autoscaled" $root }}
{{- if and $autoscaled (hasKey $config "replicas") }}
{{- fail (printf "tracks.%s.replicas has no effect while a scaler counts the pods: set tracks.%s.autoscaling.minReplicas" $track $track) }}
{{- end }}
{{- if and (not $autoscaled) $config.autoscaling }}
{{- fail (printf "tracks.%s.autoscaling has no effect: enable autoscaling or keda, or set tracks.%s.replicas" $track $track) }}
{{- end }}
{{- $least := include "model-manager.minReplicas" (list $root $config) | int }}
{{- if and $autoscaled (gt $least (include "model-manager.maxReplicas" (list $root $config) | int)) }}
{{- fail (printf "tracks.%s: minReplicas %d is more than maxReplicas" $track $least) }}
{{- end }}
{{- if and (gt (int $config.weight) 0) (lt $least 1) }}
{{- fail (printf "tracks.%s: no pod for a weight of %d: raise replicas or set the weight to 0" $track (int $config.weight)) }}
{{- end }}
{{- with $root.Values.podDisruptionBudget }}
{{- if and .enabled (hasKey . "minAvailable") (gt $least 1) (ge (int .minAvailable) $least) }}
{{- fail (printf "podDisruptionBudget.minAvailable: %d of the %d pods of track %s: no node could ever be drained" (int .minAvailable) $least $track) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateScaling" -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled }}
{{- fail "autoscaling and keda would both count the pods: enable one of them" }}
{{- end }}
{{- if and .Values.keda.enabled (not .Values.keda.serverAddress) }}
{{- fail "keda.serverAddress: say where Prometheus is, such as http://prometheus.monitoring:9090" }}
{{- end }}
{{- with .Values.rollout }}
{{- if and (eq (toString .maxSurge) "0") (eq (toString .maxUnavailable) "0") }}
{{- fail "rollout: with maxSurge and maxUnavailable both 0 no pod could ever be replaced" }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if .enabled }}
{{- if eq (hasKey . "minAvailable") (hasKey . "maxUnavailable") }}
{{- fail "podDisruptionBudget: set one of minAvailable and maxUnavailable (null takes the other away)" }}
{{- end }}
{{- $guarded := false }}
{{- range $track, $config := include "model-manager.tracks" $ | fromJson }}
{{- if gt (include "model-manager.minReplicas" (list $ $config) | int) 1 }}{{- $guarded = true }}{{- end }}
{{- end }}
{{- if not $guarded }}
{{- fail "podDisruptionBudget has no effect: no track has more than one pod, and a budget for one pod only blocks or allows its outage" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateRouting" -}}
{{- $known := include "model-manager.subsets" . | fromJson | keys | sortAlpha }}
{{- with .Values.route.mirror.track }}
{{- if eq $.Values.routing "none" }}
{{- fail "route.mirror.track has no effect with routing: none: only a mesh or a gateway copies traffic" }}
{{- end }}
{{- if not (has . $known) }}
{{- fail (printf "route.mirror.track: %q is no track (%s)" . (join ", " $known)) }}
{{- end }}
{{- if gt (int (get (include "model-manager.tracks" $ | fromJson) .).weight) 0 }}
{{- fail (printf "route.mirror.track: %s already gets traffic of its own (weight %d), which copies would blur: set its weight to 0" . (int (get (include "model-manager.tracks" $ | fromJson) .).weight)) }}
{{- end }}
{{- end }}
{{- range .Values.route.pin.tracks }}
{{- if not (has . $known) }}
{{- fail (printf "route.pin.tracks: %q is no track (%s)" . (join ", " $known)) }}
{{- end }}
{{- end }}
{{- if and .Values.route.pin.tracks (not .Values.route.pin.header) (not .Values.route.pin.cookie) }}
{{- fail "route.pin.tracks has no effect without a header or a cookie to pin by" }}
{{- end }}
{{- if and .Values.route.hosts (eq .Values.routing "none") }}
{{- fail "route.hosts has no effect with routing: none: set ingress.hosts, or routing to istio or gatewayAPI" }}
{{- end }}
{{- if and (eq .Values.routing "gatewayAPI") (not .Values.gatewayAPI.parentRefs) }}
{{- fail "gatewayAPI.parentRefs: name the Gateway that the HTTPRoute attaches to" }}
{{- end }}
{{- if and .Values.gatewayAPI.parentRefs (ne .Values.routing "gatewayAPI") }}
{{- fail (printf "gatewayAPI.parentRefs has no effect with routing: %s" .Values.routing) }}
{{- end }}
{{- include "model-manager.validateGrpcHosts" . }}
{{- if .Values.ingress.enabled }}
{{- if ne .Values.routing "none" }}
{{- fail (printf "ingress would lead past the split of routing: %s: disable it, or set routing to none" .Values.routing) }}
{{- end }}
{{- if not .Values.ingress.hosts }}
{{- fail "ingress.hosts: name at least one host" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateIstio" -}}
{{- $routing := .Values.routing }}
{{- with .Values.istio }}
{{- if and (or .gateway.create .gateways) (ne $routing "istio") }}
{{- fail (printf "istio.gateway and istio.gateways have no effect with routing: %s" $routing) }}
{{- end }}
{{- if and .gateway.create (not $.Values.route.hosts) }}
{{- fail "istio.gateway.create: name the hosts that it answers to in route.hosts" }}
{{- end }}
{{- if and .gateway.credentialName (not .gateway.create) }}
{{- fail "istio.gateway.credentialName has no effect without istio.gateway.create" }}
{{- end }}
{{- if and .requestAuthentication.enabled (not .authorization.enabled) }}
{{- fail "istio.requestAuthentication alone lets requests without a token pass: enable istio.authorization and name requestPrincipals" }}
{{- end }}
{{- if and .requestAuthentication.enabled (not .requestAuthentication.issuers) }}
{{- fail "istio.requestAuthentication.issuers: name at least one issuer" }}
{{- end }}
{{- if .authorization.enabled }}
{{- range $name, $caller := .authorization.callers }}
{{- if and $caller.requestPrincipals (not $.Values.istio.requestAuthentication.enabled) }}
{{- fail (printf "istio.authorization.callers.%s.requestPrincipals matches nobody: enable istio.requestAuthentication, which reads the tokens" $name) }}
{{- end }}
{{- if not (or $caller.principals $caller.namespaces $caller.requestPrincipals) }}
{{- fail (printf "istio.authorization.callers.%s: name principals, namespaces or requestPrincipals, or anybody may call" $name) }}
{{- end }}
{{- end }}
{{- if and .peerAuthentication.enabled (eq .peerAuthentication.adminMode "PERMISSIVE") (not $.Values.networkPolicy.enabled) }}
{{- fail "istio.peerAuthentication.adminMode: PERMISSIVE leaves the scraper without an identity that istio.authorization could check: enable networkPolicy, which then guards the admin port" }}
{{- end }}
{{- else if .authorization.callers }}
{{- fail "istio.authorization.callers has no effect: set istio.authorization.enabled" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateGrpcHosts" -}}
{{- with .Values.gatewayAPI.grpcHosts }}
{{- if or (ne $.Values.routing "gatewayAPI") (ne $.Values.progressive "none") }}
{{- fail (printf "gatewayAPI.grpcHosts has no effect with routing: %s and progressive: %s" $.Values.routing $.Values.progressive) }}
{{- end }}
{{- if not $.Values.settings.grpcPort }}
{{- fail "gatewayAPI.grpcHosts has no effect without settings.grpcPort" }}
{{- end }}
{{- if not (include "model-manager.grpcParents" $ | fromJsonArray) }}
{{- fail "gatewayAPI.grpcHosts has no effect: gatewayAPI.parentRefs names no Gateway" }}
{{- end }}
{{- if not $.Values.route.hosts }}
{{- fail "gatewayAPI.grpcHosts: the HTTPRoute has every host without route.hosts: name its hosts there" }}
{{- end }}
{{- range $grpc := . }}
{{- range $http := $.Values.route.hosts }}
{{- if or (eq $grpc $http) (and (hasPrefix "*." $http) (hasSuffix (trimPrefix "*" $http) $grpc)) (and (hasPrefix "*." $grpc) (hasSuffix (trimPrefix "*" $grpc) $http)) }}
{{- fail (printf "gatewayAPI.grpcHosts: %s is a host of the HTTPRoute too (route.hosts: %s), and a listener takes only one route for it" $grpc $http) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateTelemetry" -}}
{{- with .Values.tracing }}
{{- if and .enabled (not .endpoint) }}
{{- fail "tracing.endpoint: say where the collector is, such as http://otel-collector.observability:4317" }}
{{- end }}
{{- if and .endpoint (not .enabled) }}
{{- fail "tracing.endpoint has no effect: set tracing.enabled" }}
{{- end }}
{{- end }}
{{- $caged := and .Values.networkPolicy.enabled .Values.networkPolicy.egress.restrict (not .Values.networkPolicy.egress.cidrs) }}
{{- if and $caged .Values.tracing.enabled }}
{{- fail "tracing.endpoint cannot be reached past networkPolicy.egress.restrict: name its block in networkPolicy.egress.cidrs" }}
{{- end }}
{{- range $track, $config := include "model-manager.tracks" . | fromJson }}
{{- if and $caged (regexMatch "^https?://" ((include "model-manager.settings" (list $ $config) | fromJson).records)) }}
{{- fail (printf "settings.records of track %s cannot be reached past networkPolicy.egress.restrict: name its block in networkPolicy.egress.cidrs" $track) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateOthers" -}}
{{- range list "app" "version" "track" "app.kubernetes.io/name" "app.kubernetes.io/instance" "sidecar.istio.io/inject" }}
{{- if hasKey $.Values.podLabels . }}
{{- fail (printf "podLabels: %s is a label by which pods are selected and told apart: choose another" .) }}
{{- end }}
{{- end }}
{{- if eq (int .Values.settings.port) (int .Values.settings.adminPort) }}
{{- fail (printf "settings.adminPort: %d is the API's port too" (int .Values.settings.port)) }}
{{- end }}
{{- with .Values.settings.grpcPort }}
{{- if has (int .) (list (int $.Values.settings.port) (int $.Values.settings.adminPort)) }}
{{- fail (printf "settings.grpcPort: %d is the port of another protocol too" (int .)) }}
{{- end }}
{{- end }}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled }}
{{- fail "monitoring: podMonitor and serviceMonitor would scrape every pod twice: enable one of them" }}
{{- end }}
{{- with .Values.istio.peerAuthentication }}
{{- if and .enabled (eq .adminMode "STRICT") $.Values.monitoring.podMonitor.enabled }}
{{- fail "monitoring.podMonitor cannot present Istio's certificates, which istio.peerAuthentication demands: use monitoring.serviceMonitor with istioCertificates, or adminMode: PERMISSIVE" }}
{{- end }}
{{- end }}
{{- with .Values.monitoring.serviceMonitor }}
{{- if and .istioCertificates (or (not .enabled) (not (include "model-manager.mesh" $))) }}
{{- fail "monitoring.serviceMonitor.istioCertificates has no effect unless serviceMonitor is enabled and the pods are in the mesh: set istio.sidecar" }}
{{- end }}
{{- end }}
{{- if and .Values.serviceAccount.annotations (not .Values.serviceAccount.create) }}
{{- fail "serviceAccount.annotations has no effect on an account that the chart does not create" }}
{{- end }}
{{- if and .Values.monitoring.rules.enabled (not .Values.monitoring.rules.builtin) (not .Values.monitoring.rules.groups) }}
{{- fail "monitoring.rules: nothing to alert on: set builtin, or write groups" }}
{{- end }}
{{- with .Values.test }}
{{- if and .model (ne (len .instances) (len .predictions)) }}
{{- fail (printf "test: %d instances and %d predictions: give one prediction for each instance" (len .instances) (len .predictions)) }}
{{- end }}
{{- if and .model (not .instances) }}
{{- fail "test.instances: give a row to predict" }}
{{- end }}
{{- if and (not .model) (or .version .instances .predictions) }}
{{- fail "test has no effect: name test.model" }}
{{- end }}
{{- end }}
{{- end }}

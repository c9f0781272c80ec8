"""The fields of the Gemini API's requests, and which of them only one of its two fronts knows."""

from __future__ import annotations

from .protojson import read_types

_SHARED = {
    "GenerateContentRequest": "contents:[Content] systemInstruction:Content tools:[Tool]"
    " toolConfig:ToolConfig safetySettings:[SafetySetting] generationConfig:GenerationConfig"
    " cachedContent:string model:string serviceTier:ServiceTier continuationToken:bytes",
    "Content": "role:string parts:[Part]",
    "Part": "text:string inlineData:Blob fileData:FileData functionCall:FunctionCall"
    " functionResponse:FunctionResponse executableCode:ExecutableCode"
    " codeExecutionResult:CodeExecutionResult thought:bool thoughtSignature:bytes"
    " videoMetadata:struct mediaResolution:PartMediaResolution",
    "Blob": "mimeType:string data:bytes",
    "FileData": "mimeType:string fileUri:string",
    "FunctionCall": "id:string name:string args:struct",
    "FunctionResponse": "id:string name:string response:struct parts:[FunctionResponsePart]"
    " scheduling:Scheduling",
    "FunctionResponsePart": "inlineData:Blob fileData:FileData",
    "ExecutableCode": "language:string code:string id:string",
    "CodeExecutionResult": "outcome:string output:string id:string",
    "PartMediaResolution": "level:MediaResolution numTokens:int",
    "Tool": "functionDeclarations:[FunctionDeclaration] googleSearch:struct codeExecution:struct"
    " googleSearchRetrieval:struct urlContext:struct googleMaps:struct computerUse:struct",
    "FunctionDeclaration": "name:string description:string parameters:Schema"
    " parametersJsonSchema:value response:Schema responseJsonSchema:value behavior:Behavior",
    "ToolConfig": "functionCallingConfig:FunctionCallingConfig retrievalConfig:struct",
    "FunctionCallingConfig": "mode:FunctionCallingMode allowedFunctionNames:[string]",
    "SafetySetting": "category:string threshold:string",
    "GenerationConfig": "candidateCount:int stopSequences:[string] maxOutputTokens:int"
    " temperature:float topP:float topK:float seed:int presencePenalty:float frequencyPenalty:float"
    " responseMimeType:string responseSchema:Schema responseJsonSchema:value"
    " responseLogprobs:bool logprobs:int responseModalities:[Modality] speechConfig:struct"
    " thinkingConfig:ThinkingConfig mediaResolution:MediaResolution imageConfig:struct"
    " enableAffectiveDialog:bool",
    "ThinkingConfig": "includeThoughts:bool thinkingBudget:int thinkingLevel:ThinkingLevel",
    "Schema": "type:Type format:string title:string description:string nullable:bool"
    " enum:[string] items:Schema maxItems:int minItems:int properties:{Schema} required:[string]"
    " minProperties:int maxProperties:int minLength:int maxLength:int pattern:string"
    " example:value anyOf:[Schema] propertyOrdering:[string] default:value minimum:float"
    " maximum:float",
}
_AI_STUDIO = {
    "GenerateContentRequest": " store:bool",
    "Part": " toolCall:struct toolResponse:struct partMetadata:struct",
    "FunctionResponse": " willContinue:bool",
    "Tool": " fileSearch:struct mcpServers:[struct]",
    "ToolConfig": " includeServerSideToolInvocations:bool",
    "GenerationConfig": " enableEnhancedCivicAnswers:bool responseFormat:value",
    "EmbedContentRequest": "model:string content:Content taskType:string title:string"
    " outputDimensionality:int",
    "BatchEmbedContentsRequest": "model:string requests:[EmbedContentRequest]",
}
_VERTEX = {
    "GenerateContentRequest": " labels:{string} modelArmorConfig:struct",
    "Blob": " displayName:string",
    "FileData": " displayName:string",
    "FunctionCall": " partialArgs:value willContinue:bool",
    "FunctionCallingConfig": " streamFunctionCallArguments:bool",
    "Tool": " retrieval:struct enterpriseWebSearch:struct parallelAiSearch:struct"
    " exaAiSearch:struct",
    "SafetySetting": " method:string",
    "GenerationConfig": " audioTimestamp:bool routingConfig:struct modelConfig:struct",
    "Schema": " additionalProperties:value ref:string defs:{Schema}",
    "EmbedContentRequest": "model:string content:Content embedContentConfig:EmbedContentConfig"
    " title:string taskType:string outputDimensionality:int autoTruncate:bool",
    "EmbedContentConfig": "taskType:string title:string outputDimensionality:int"
    " autoTruncate:bool documentOcr:bool audioTrackExtraction:bool",
    "BatchEmbedContentsRequest": "model:string requests:[EmbedContentRequest]",
    "PredictRequest": "instances:[Instance] parameters:PredictParameters labels:{string}",
    "Instance": "content:string task_type:string title:string taskType:string",
    "PredictParameters": "outputDimensionality:int autoTruncate:bool",
}

ENUMS = {
    "Type": ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT",
             "NULL"),
    "FunctionCallingMode": ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"),
    "ThinkingLevel": ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"),
    "MediaResolution": ("MEDIA_RESOLUTION_UNSPECIFIED", "MEDIA_RESOLUTION_LOW",
                        "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH",
                        "MEDIA_RESOLUTION_ULTRA_HIGH"),
    "Modality": ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO"),
    "ServiceTier": ("UNSPECIFIED", "FLEX", "STANDARD", "PRIORITY"),
    "Behavior": ("UNSPECIFIED", "BLOCKING", "NON_BLOCKING"),
    "Scheduling": ("SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"),
}  # fmt: skip


def _types(front: dict[str, str]) -> dict[str, dict[str, str]]:
    names = _SHARED.keys() | front.keys()
    return read_types({name: _SHARED.get(name, "") + front.get(name, "") for name in names})


AI_STUDIO_TYPES = _types(_AI_STUDIO)
VERTEX_TYPES = _types(_VERTEX)
